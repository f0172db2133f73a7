use std::fs;

use tempfile::tempdir;

use crate::command::{run, run_with, text};
use crate::member::Member;

#[test]
fn a_backup_comes_back_in_another_data_directory_of_the_cluster() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let backups = scratch.path().join("backups");
    let (data, backups) = (text(&data), text(&backups));
    let place = ["--data", data, "--namespace", "people"];
    run_with(
        &[&["import", "--format", "csv"], &place[..], &["-"]].concat(),
        "id,name\nada,Ada\nbob,Bob\n",
    )
    .ok();

    let first = run(&["backup", backups, "--data", data, "--json"]).json();
    assert_eq!(
        (&first["namespace"], &first["rows"]),
        (&"people".into(), &2.into())
    );
    let said = run(&["backup", backups, "--data", data, "--keep", "1"]).ok();
    assert!(said.contains("0 of 1 chunks were new"), "{said}");
    assert!(
        said.contains("1 backups are kept, 1 were removed"),
        "{said}"
    );
    let listed = run(&["backup", backups, "--list", "--json"]).json();
    assert_eq!(
        (&listed["rows"], &listed["root"]),
        (&2.into(), &first["root"])
    );
    let id = listed["backup"].as_str().unwrap().to_owned();
    assert!(run(&["backup", backups, "--list"]).ok().contains(&id));

    let error = run(&["restore", backups, "--data", data]).failed(1);
    assert!(error.contains("not empty"), "{error}");
    let error = run(&[
        "restore",
        text(&scratch.path().join("none")),
        "--data",
        data,
    ])
    .failed(2);
    assert!(error.contains("no such directory"), "{error}");

    // A stranger finds that the backups are not its own.
    let stranger = scratch.path().join("stranger");
    let error = run(&["restore", backups, "--data", text(&stranger)]).failed(1);
    assert!(error.contains("its own backups only"), "{error}");

    // The disk is lost, the identity was kept.
    let again = scratch.path().join("again");
    fs::create_dir(&again).unwrap();
    fs::rename(scratch.path().join("data/identity"), again.join("identity")).unwrap();
    let again = text(&again);
    let restored = run(&["restore", backups, "--data", again, "--json"]).json();
    assert_eq!(
        (&restored["root"], &restored["backup"]),
        (&first["root"], &id.as_str().into())
    );
    let exported = run(&["export", "--data", again, "--namespace", "people"]).ok();
    assert!(
        exported.contains("Ada") && exported.contains("Bob"),
        "{exported}"
    );
    let joined = run(&[
        "restore",
        backups,
        "--data",
        again,
        "--join",
        "--namespace",
        "people",
        "--backup",
        &id,
    ])
    .ok();
    assert!(joined.contains("0 B read"), "{joined}");

    // Damage is an exit code of its own.
    let chunks = scratch.path().join("backups");
    let mut stack = vec![chunks];
    while let Some(path) = stack.pop() {
        match path.is_dir() {
            true => stack.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            ),
            false if text(&path).contains("/chunks/") => fs::write(&path, "damaged").unwrap(),
            false => {}
        }
    }
    let third = scratch.path().join("third");
    fs::create_dir(&third).unwrap();
    fs::rename(
        scratch.path().join("again/identity"),
        third.join("identity"),
    )
    .unwrap();
    let error = run(&["restore", backups, "--data", text(&third)]).failed(4);
    assert!(error.contains("is damaged"), "{error}");
    let left = fs::read_dir(third.join("namespaces")).unwrap().count();
    assert_eq!(left, 0, "something was half restored");
}

#[test]
fn a_node_that_runs_backs_itself_up_for_who_can_read_its_data() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let backups = scratch.path().join("backups");
    run_with(
        &[
            "import",
            "--format",
            "csv",
            "--data",
            text(&data),
            "--namespace",
            "people",
            "-",
        ],
        "id,name\nada,Ada\nbob,Bob\n",
    )
    .ok();
    let mut node = Member::start(&data, &["--namespace", "people"]);
    let made = run(&[
        "backup",
        text(&backups),
        "--data",
        text(&data),
        "--keep",
        "2",
        "--json",
    ])
    .json();
    assert_eq!(
        (&made["rows"], &made["pruned"]["kept"]),
        (&2.into(), &1.into())
    );
    let error = run(&[
        "backup",
        text(&backups),
        "--data",
        text(&data),
        "--namespace",
        "none",
    ])
    .failed(1);
    assert!(error.contains("no namespace \"none\""), "{error}");

    // Without the key nobody has it do anything.
    let key = data.join("admin.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o077, 0);
    }
    let kept = fs::read_to_string(&key).unwrap();
    let (address, _) = kept.split_once('\n').unwrap();
    fs::write(&key, format!("{address}\n{}\n", "0".repeat(64))).unwrap();
    let error = run(&["backup", text(&backups), "--data", text(&data)]).failed(1);
    assert!(error.contains("needs the key"), "{error}");
    assert_eq!(
        run(&["backup", text(&backups), "--list", "--json"])
            .ok()
            .lines()
            .count(),
        1
    );

    let error = run(&["restore", text(&backups), "--data", text(&data)]).failed(6);
    assert!(error.contains("in use"), "{error}");
    node.signal(rustix::process::Signal::TERM);
    assert!(node.ended().success(), "{}", node.log());
    assert!(!key.exists(), "the key ends with the node");
}
