//! A client that knows nothing of the server's own code.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use syncline::Node;
use syncline_server::{Options, Server};
use tokio::runtime::Runtime;

/// A node in memory with a server.
pub struct Redis {
    runtime: Runtime,
    server: Option<Server>,
    pub node: Node,
    pub address: SocketAddr,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(&mut options);
        let (node, server) = runtime.block_on(async {
            let node = Node::in_memory().await.unwrap();
            let server = Server::start(node.clone(), options).await.unwrap();
            (node, server)
        });
        Self {
            address: server.local_addr(),
            server: Some(server),
            runtime,
            node,
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Waits until a client has asked for the end.
    pub fn asked_to_end(&self) {
        let server = self.server.as_ref().unwrap();
        self.runtime.block_on(server.asked_to_end());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let server = self.server.take();
        self.runtime.block_on(async {
            if let Some(server) = server {
                server.stop().await;
            }
            self.node.shutdown().await.unwrap();
        });
    }
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A word; also a number, a double, a truth value of the newer protocol, each with its mark.
    Line(char, String),
    Bulk(char, Vec<u8>),
    Nothing(&'static str),
    Many(char, Vec<Value>),
}

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    pub fn ask<A: AsRef<[u8]>>(&mut self, arguments: impl IntoIterator<Item = A>) {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in &arguments {
            let argument = argument.as_ref();
            request.extend(format!("${}\r\n", argument.len()).bytes());
            request.extend(argument);
            request.extend(b"\r\n");
        }
        self.send(&request);
    }

    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: impl IntoIterator<Item = A>) -> Value {
        self.ask(arguments);
        self.reply()
    }

    /// Asks by a line of words without quotes, and gives the reply as a transcript has it.
    pub fn say(&mut self, line: &str) -> String {
        self.call(line.split_whitespace())
            .to_string()
            .trim_end()
            .to_owned()
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended: {line:?}");
        line.truncate(line.len() - 2);
        line
    }

    pub fn reply(&mut self) -> Value {
        let line = self.line();
        let (mark, rest) = (line.chars().next().unwrap(), &line[1..]);
        match mark {
            '$' | '=' if rest != "-1" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes.split_off(bytes.len() - 2), b"\r\n");
                Value::Bulk(mark, bytes)
            }
            '$' => Value::Nothing("(nil)"),
            '_' => Value::Nothing("(null)"),
            '*' if rest == "-1" => Value::Nothing("(nil array)"),
            '*' | '~' | '>' | '%' => {
                let count: usize = rest.parse().unwrap();
                let count = if mark == '%' { 2 * count } else { count };
                Value::Many(mark, (0..count).map(|_| self.reply()).collect())
            }
            mark => Value::Line(mark, rest.to_owned()),
        }
    }
}

/// As a transcript has it: what the client of Redis would show, with the marks of what is not an array of bytes.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        show(self, 0, f)
    }
}

fn show(value: &Value, depth: usize, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let indent = "  ".repeat(depth);
    match value {
        Value::Line('+', text) => writeln!(f, "{indent}{text}"),
        Value::Line('-', text) => writeln!(f, "{indent}(error) {text}"),
        Value::Line(':', text) => writeln!(f, "{indent}(integer) {text}"),
        Value::Line(',', text) => writeln!(f, "{indent}(double) {text}"),
        Value::Line('#', text) => writeln!(f, "{indent}(bool) {text}"),
        Value::Line(mark, text) => writeln!(f, "{indent}({mark}) {text}"),
        Value::Bulk(mark, bytes) => {
            let kind = if *mark == '=' { "(text) " } else { "" };
            writeln!(f, "{indent}{kind}\"{}\"", bytes.escape_ascii())
        }
        Value::Nothing(what) => writeln!(f, "{indent}{what}"),
        Value::Many(mark, items) => {
            let kind = match mark {
                '*' => "array",
                '~' => "set",
                '%' => "map",
                _ => "push",
            };
            writeln!(f, "{indent}({kind} of {})", items.len())?;
            items.iter().try_for_each(|item| show(item, depth + 1, f))
        }
    }
}
