//! Backups in a bucket of a server that speaks S3.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::tempdir;

use crate::command::{Ran, run, run_with, syncline, text, until};

/// `moto_server` at a free port, ended when this is dropped.
struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &free.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server, of `pip install \"moto[server]\"`");
        let moto = Self {
            child,
            endpoint: format!("http://{free}"),
        };
        until(|| TcpStream::connect(free).is_ok());
        let mut stream = TcpStream::connect(free).unwrap();
        let request = format!(
            "PUT /backups HTTP/1.1\r\nHost: {free}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        moto
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = syncline();
        command.args(arguments).stdin(Stdio::null());
        for (name, value) in [
            ("AWS_ENDPOINT", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ] {
            command.env(name, value);
        }
        Ran::from(command.output().unwrap())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
#[ignore = "needs an S3 server"]
fn a_backup_in_a_bucket_comes_back_needs_an_s3_server() {
    let scratch = tempdir().unwrap();
    let [data, again] = ["data", "again"].map(|name| scratch.path().join(name));
    let place = ["--data", text(&data), "--namespace", "people"];
    let mut input = String::from("id,name\n");
    for n in 0..3000 {
        input += &format!("key-{n:05},the name of number {n}\n");
    }
    run_with(
        &[&["import", "--format", "csv"], &place[..], &["-"]].concat(),
        &input,
    )
    .ok();
    let moto = Moto::start();
    let url = "s3://backups/folder/of/oslo";
    let first = moto
        .run(&["backup", url, "--data", text(&data), "--json"])
        .json();
    assert!(first["chunks"].as_u64().unwrap() > 1, "{first}");
    let again_made = moto
        .run(&[
            "backup",
            url,
            "--data",
            text(&data),
            "--json",
            "--keep",
            "1",
        ])
        .json();
    assert_eq!(
        (
            &again_made["chunks_written"],
            &again_made["pruned"]["backups_removed"]
        ),
        (&0.into(), &1.into())
    );
    let listed = moto.run(&["backup", url, "--list", "--json"]).json();
    assert_eq!(listed["backup"], again_made["backup"]);

    std::fs::create_dir(&again).unwrap();
    std::fs::rename(data.join("identity"), again.join("identity")).unwrap();
    let restored = moto
        .run(&["restore", url, "--data", text(&again), "--json"])
        .json();
    assert_eq!(
        (&restored["root"], &restored["rows"]),
        (&first["root"], &3000.into())
    );
    let exported = run(&["export", "--data", text(&again), "--namespace", "people"]).ok();
    assert_eq!(exported.lines().count(), 3000);
    let error = moto
        .run(&["backup", "s3://no-such-bucket/x", "--data", text(&again)])
        .failed(1);
    assert!(error.to_lowercase().contains("bucket"), "{error}");
}
