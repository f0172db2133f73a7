//! Streams of Redis commands against a model. The fuzz target `commands` and a test run the same.
//!
//! The server speaks to an in-memory node through a pipe; the model is ordered maps and sets (`model.rs`). Each reply has to be what
//! the model says, whether commands come one by one or many at once, alone or between `MULTI` and `EXEC`; and at the end the store has to
//! agree with a recount of itself.

mod model;
mod script;

use std::collections::VecDeque;
use std::sync::OnceLock;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use syncline::Node;
use syncline_server::{Options, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::Runtime;

use crate::rng::{Bytes, Choices as _};
use model::{Model, Said};
use script::{Words, command};

/// Commands of one run at most.
const COMMANDS: usize = 200;
/// Room in the pipe: replies to a pipeline fit, so that nobody waits for who waits.
const PIPE: usize = 1 << 20;

/// Runs the commands that the bytes stand for. Panics at the first reply that is not what it should be.
pub fn commands(data: &[u8]) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().unwrap());
    runtime.block_on(run(Bytes::new(data)));
}

async fn run(mut choices: Bytes<'_>) {
    let node = Node::in_memory().await.unwrap();
    let options = Options::new(([127, 0, 0, 1], 0).into());
    let server = Server::start(node.clone(), options).await.unwrap();
    let (ours, theirs) = duplex(PIPE);
    let serve = server.serve(theirs);
    let talk = async {
        let (mut client, mut model) = (Client::new(ours), Model::default());
        let mut left = COMMANDS;
        while left > 0 && !choices.is_empty() {
            let together = 1 + choices.below(8).min(left - 1);
            let batch: Vec<Words> = (0..together).map(|_| command(&mut choices)).collect();
            left -= together;
            client.send(&batch).await;
            for words in &batch {
                let (said, expected) = (client.reply().await, model.execute(words));
                assert!(
                    expected.admits(&said),
                    "{}: {said:?}, and not {expected:?}",
                    shown(words)
                );
            }
        }
        // Whatever was left open, so that all is there to be counted.
        let end = [words(["discard"]), words(["dbsize"])];
        client.send(&end).await;
        client.reply().await;
        model.execute(&end[0]);
        let (said, expected) = (client.reply().await, model.execute(&end[1]));
        assert!(
            expected.admits(&said),
            "DBSIZE: {said:?}, and not {expected:?}"
        );
    };
    tokio::join!(serve, talk);
    server.stop().await;
    let db0 = node.namespace("db0").unwrap();
    let recount = db0.read(|view| view.recount()).await.unwrap();
    assert!(recount.is_sound(), "{recount:?}");
    node.shutdown().await.unwrap();
}

fn words<const N: usize>(words: [&str; N]) -> Words {
    words.map(|word| word.as_bytes().to_vec()).to_vec()
}

fn shown(words: &Words) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|word| word.escape_ascii().to_string())
        .collect();
    words.join(" ")
}

/// What is asked for and answered, through a pipe.
struct Client {
    pipe: DuplexStream,
    buffer: Vec<u8>,
    replies: VecDeque<OwnedFrame>,
}

impl Client {
    fn new(pipe: DuplexStream) -> Self {
        Self {
            pipe,
            buffer: Vec::new(),
            replies: VecDeque::new(),
        }
    }

    async fn send(&mut self, batch: &[Words]) {
        let mut bytes = Vec::new();
        for words in batch {
            bytes.extend(format!("*{}\r\n", words.len()).bytes());
            for word in words {
                bytes.extend(format!("${}\r\n", word.len()).bytes());
                bytes.extend(word);
                bytes.extend(b"\r\n");
            }
        }
        self.pipe.write_all(&bytes).await.unwrap();
    }

    async fn reply(&mut self) -> Said {
        loop {
            if let Some(frame) = self.replies.pop_front() {
                return Said::from(frame);
            }
            let count = self.pipe.read_buf(&mut self.buffer).await.unwrap();
            assert!(count > 0, "the server has ended the connection");
            let mut from = 0;
            while let Some((frame, size)) = decode(&self.buffer[from..]).unwrap() {
                self.replies.push_back(frame);
                from += size;
            }
            self.buffer.drain(..from);
        }
    }
}
