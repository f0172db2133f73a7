//! `syncline export`: a namespace as JSON lines, as of one commit.

use std::io::{self, BufWriter, Write, stdout};

use syncline::{Kind, Score, View};
use thiserror::Error;

use crate::args::Export;
use crate::failure::{Doing, Failure};
use crate::home;
use crate::lines::{self, Content, Item};
use crate::table::count;

/// A line is ended at this many fields or members, or bytes: neither side has to hold a large set at once.
const LINE_ROWS: usize = 1_000;
const LINE_BYTES: usize = 1 << 20;

#[derive(Debug, Error)]
enum ExportError {
    #[error("cannot read the namespace: {0}")]
    Read(#[from] syncline::Error),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

pub(crate) async fn run(arguments: &Export) -> Result<(), Failure> {
    let (node, namespace) = home::existing(&arguments.place).await?;
    let prefix = arguments.prefix.clone();
    let exported = namespace.read(move |view| {
        let output = BufWriter::with_capacity(1 << 16, stdout().lock());
        Ok(export(view, &prefix, output))
    });
    let exported = exported.await;
    home::close(node).await?;
    let unread = match exported.doing(|| "cannot read the namespace".to_owned())? {
        Ok(unread) => unread,
        // Whoever reads has had enough, as `head` does.
        Err(ExportError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    if unread > 0 {
        return Err(Failure::failed(format!(
            "{} keys were written by a newer version of syncline and are not in the output; export with that version",
            count(unread)
        )));
    }
    Ok(())
}

/// Prints everything under the prefix and returns how many keys it could not read.
fn export(view: &View, prefix: &str, output: impl Write) -> Result<u64, ExportError> {
    let mut lines = Lines(output);
    let mut unread = 0;
    for entry in view.keys(prefix)? {
        let (key, kind) = entry?;
        match kind {
            Kind::Value => {
                if let Some(value) = view.get(&key)? {
                    lines.print(&key, Content::Value(value))?;
                }
            }
            Kind::Map => {
                let size = |(field, value): &(Vec<u8>, Vec<u8>)| field.len() + value.len();
                lines.parts(&key, view.map(&key).fields()?, size, Content::Fields)?;
            }
            Kind::Set => {
                let members = view.set(&key);
                lines.parts(&key, members.members()?, Vec::len, Content::Members)?;
            }
            Kind::SortedSet => {
                let set = view.sorted_set(&key);
                let scores = set.members()?.map(|scored| {
                    let (member, score) = scored?;
                    let key = key.clone();
                    let score = Score::new(score).ok_or(syncline::Error::NotAScore { key })?;
                    Ok((member, score))
                });
                let size = |(member, _): &(Vec<u8>, Score)| member.len() + size_of::<Score>();
                lines.parts(&key, scores, size, Content::Scores)?;
            }
            _ => unread += 1,
        }
    }
    lines.0.flush()?;
    Ok(unread)
}

struct Lines<W>(W);

impl<W: Write> Lines<W> {
    fn print(&mut self, key: &[u8], content: Content) -> io::Result<()> {
        let key = key.to_vec();
        writeln!(self.0, "{}", lines::print(&Item { key, content }))
    }

    /// Prints a key in as many lines as its parts take.
    fn parts<T>(
        &mut self,
        key: &[u8],
        parts: impl Iterator<Item = Result<T, syncline::Error>>,
        size: impl Fn(&T) -> usize,
        content: impl Fn(Vec<T>) -> Content,
    ) -> Result<(), ExportError> {
        let mut line = Vec::new();
        let mut bytes = 0;
        for part in parts {
            let part = part?;
            bytes += size(&part);
            line.push(part);
            if line.len() >= LINE_ROWS || bytes >= LINE_BYTES {
                self.print(key, content(std::mem::take(&mut line)))?;
                bytes = 0;
            }
        }
        if !line.is_empty() {
            self.print(key, content(line))?;
        }
        Ok(())
    }
}
