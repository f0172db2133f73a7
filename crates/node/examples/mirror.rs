//! A search index that follows a prefix, over its own restarts and those of the node: `cargo run --example mirror`
//!
//! The index is kept in a file of its own, together with the point up to which it was made. So it may stop and go on at any time, and
//! misses nothing that was written meanwhile, by this node or another.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline::watch::{Change, Event};
use syncline::{Namespace, Node};

/// Which notes contain a word.
#[derive(Default, Serialize, Deserialize)]
struct Index {
    words: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// The point up to which the index was made.
    made_to: Vec<u8>,
    #[serde(skip)]
    file: PathBuf,
}

impl Index {
    fn load(file: PathBuf) -> Result<Self, Box<dyn Error>> {
        let index = match fs::read(&file) {
            Ok(bytes) => syncline::typed::decode(&bytes)?,
            Err(_) => Self::default(),
        };
        Ok(Self { file, ..index })
    }

    /// Takes over all that has changed, and returns once it is up to date. A service would go on for ever.
    async fn catch_up(&mut self, notes: &Namespace) -> Result<(), Box<dyn Error>> {
        let mut watch = notes.watch_from("note:", &self.made_to).await?;
        loop {
            match watch.next().await? {
                Event::Reset => self.words.clear(),
                Event::Change(Change::Value { key, values }) => {
                    self.forget(&key);
                    for text in &values {
                        self.learn(&key, &String::from_utf8_lossy(text));
                    }
                }
                Event::Resume(point) => {
                    // Together, so that a crash leaves both as they were.
                    self.made_to = point.to_bytes();
                    fs::write(&self.file, syncline::typed::encode(self)?)?;
                    if point.is_complete() {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
    }

    fn forget(&mut self, note: &[u8]) {
        self.words.retain(|_, notes| {
            notes.remove(note);
            !notes.is_empty()
        });
    }

    fn learn(&mut self, note: &[u8], text: &str) {
        for word in text.split_whitespace() {
            let notes = self.words.entry(word.to_lowercase()).or_default();
            notes.insert(note.to_vec());
        }
    }

    fn find(&self, word: &str) -> Vec<String> {
        let notes = self.words.get(word).into_iter().flatten();
        notes.map(|note| note.escape_ascii().to_string()).collect()
    }
}

async fn start(home: &Path) -> Result<Node, Box<dyn Error>> {
    Ok(Node::builder().data_dir(home.join("data")).start().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("index");

    let node = start(home.path()).await?;
    let notes = node.namespace("notes")?;
    notes.put("note:1", "Tea with Ada").await?;
    notes.put("note:2", "Scones and tea").await?;
    let mut index = Index::load(file.clone())?;
    index.catch_up(&notes).await?;
    println!("tea is in {:?}", index.find("tea"));
    drop(index);

    // While nobody indexes, the notes change, and the node is started anew.
    notes.put("note:2", "Scones and jam").await?;
    notes.put("note:3", "More tea").await?;
    node.shutdown().await?;
    let node = start(home.path()).await?;
    let notes = node.namespace("notes")?;
    notes.delete("note:1").await?;

    let mut index = Index::load(file)?;
    index.catch_up(&notes).await?;
    println!("tea is in {:?}", index.find("tea"));
    assert_eq!(index.find("tea"), ["note:3"]);
    assert_eq!(index.find("jam"), ["note:2"]);
    node.shutdown().await?;
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
