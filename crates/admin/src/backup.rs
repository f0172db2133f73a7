//! `POST /v1/backup`: a running node backs itself up.
//!
//! All else that the face tells is for whoever reaches it. This makes the node send all it has to a place of the caller's choice,
//! so it asks for a key, `Authorization: Bearer KEY`, that is made anew at each start and lies in the data directory, in a file
//! that the node's user alone can read. Who has it could as well read the namespaces' files.
//!
//! The body is a [`BackupRequest`]; the answer, a line of JSON for each [`BackupLine`]. Who hangs up ends the backup.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use syncline::Node;
use syncline_backup::{
    BackupError, BackupOptions, BackupReport, Pruned, Repository, back_up, prune,
};
use tokio::sync::{Semaphore, mpsc};

use crate::face::Shared;

/// What the file with the key is called, in the data directory: the address on one line, the key on the next.
const FILE: &str = "admin.key";

/// What is to be backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// Where to: a URL, or the absolute path of a directory on the node's machine.
    pub url: String,
    /// The namespaces; all that the node carries if none is named.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// How many backups of each to keep, if older ones are to be removed.
    #[serde(default)]
    pub keep: Option<NonZeroUsize>,
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupLine {
    /// How far the backup of a namespace has come.
    Progress {
        /// The namespace.
        namespace: String,
        /// Rows that are done.
        rows: u64,
        /// Rows that there are.
        of: u64,
    },
    /// A namespace is done.
    Made(Box<BackedUp>),
    /// It went wrong, and ends here.
    Failed(String),
    /// All are done.
    Done,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// The namespace.
    pub namespace: String,
    /// The name of the backup.
    pub backup: String,
    /// The backup whose chunks it shares.
    pub base: Option<String>,
    /// Rows in it.
    pub rows: u64,
    /// User keys in it.
    pub keys: u64,
    /// The digest of its rows.
    pub root: String,
    /// Chunks in it.
    pub chunks: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows that were read.
    pub rows_read: u64,
    /// Chunks that were put.
    pub chunks_written: u64,
    /// Bytes that were put.
    pub bytes_written: u64,
    /// What was removed, if anything was to be.
    pub pruned: Option<PrunedBackups>,
}

/// Backups that were removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PrunedBackups {
    /// Whether nothing was, since another backup is being made.
    pub gave_way: bool,
    /// Backups that there are.
    pub kept: u64,
    /// Backups that were removed.
    pub backups_removed: u64,
    /// Chunks that were removed.
    pub chunks_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
}

impl BackedUp {
    fn new(namespace: &str, report: &BackupReport, pruned: Option<&Pruned>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            backup: report.id.to_string(),
            base: report.base.as_ref().map(ToString::to_string),
            rows: report.rows,
            keys: report.keys,
            root: report.root.to_string(),
            chunks: report.chunks,
            bytes: report.bytes,
            rows_read: report.rows_read,
            chunks_written: report.chunks_written,
            bytes_written: report.bytes_written,
            pruned: pruned.map(|pruned| PrunedBackups {
                gave_way: pruned.gave_way,
                kept: pruned.kept,
                backups_removed: pruned.backups_removed,
                chunks_removed: pruned.chunks_removed,
                bytes_removed: pruned.bytes_removed,
            }),
        }
    }
}

/// Backs up what was asked for, telling each line but the last.
///
/// # Errors
/// [`BackupError`] of the first namespace that could not be backed up; those after it are not.
pub async fn back_up_all(
    node: &Node,
    request: &BackupRequest,
    tell: impl Fn(BackupLine) + Clone + Send + Sync + 'static,
) -> Result<(), BackupError> {
    let repository = Repository::open(&request.url)?;
    let mut names = request.namespaces.clone();
    if names.is_empty() {
        names = node.namespaces();
    }
    for namespace in names {
        if !node.namespaces().contains(&namespace) {
            return Err(syncline::Error::NotCarried { namespace }.into());
        }
        let (told, named) = (tell.clone(), namespace.clone());
        let options = BackupOptions::default().on_progress(move |progress| {
            told(BackupLine::Progress {
                namespace: named.clone(),
                rows: progress.rows,
                of: progress.of,
            });
        });
        let report = back_up(node, &namespace, &repository, &options).await?;
        let pruned = match request.keep {
            Some(keep) => Some(prune(node, &namespace, &repository, keep).await?),
            None => None,
        };
        let made = BackedUp::new(&namespace, &report, pruned.as_ref());
        tell(BackupLine::Made(Box::new(made)));
    }
    Ok(())
}

/// Lets in who can read the data directory. The file is gone when this is dropped.
pub(crate) struct Key {
    path: PathBuf,
    key: blake3::Hash,
    /// One backup at a time.
    turn: Arc<Semaphore>,
}

impl Key {
    /// Makes a key, and leaves it in the data directory.
    pub(crate) fn leave(data: &Path, address: SocketAddr) -> io::Result<Self> {
        let key = blake3::Hash::from_bytes(rand::random());
        let path = data.join(FILE);
        // Of one that was killed.
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        write!(options.open(&path)?, "{address}\n{}\n", key.to_hex())?;
        Ok(Self {
            path,
            key,
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let given = given.and_then(|hex| blake3::Hash::from_hex(hex).ok());
        // Hashes are compared in constant time.
        given.is_some_and(|given| given == self.key)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the key of the admin face is left over");
        }
    }
}

/// Where the node that runs on a data directory is asked, and the key that it has left there; `None` if it has left none.
///
/// # Errors
/// When the file cannot be read, or is not such a file.
pub fn admin_key(data: &Path) -> io::Result<Option<(SocketAddr, String)>> {
    let text = match fs::read_to_string(data.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let mut lines = text.lines();
    let parsed = lines.next().and_then(|address| address.parse().ok());
    let parsed = parsed.zip(lines.next().map(str::to_owned));
    parsed
        .map(Some)
        .ok_or_else(|| io::Error::other("it holds no address and key"))
}

/// Lines that may wait for a slow reader. Progress is left out where more would.
const LINES: usize = 64;

pub(crate) async fn run(State(shown): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let refuse = |code: StatusCode, text: String| (code, text + "\n").into_response();
    let Some(key) = shown.key.as_ref().filter(|key| key.opens(&headers)) else {
        let text = "this needs the key that the node has left in its data directory".to_owned();
        return refuse(StatusCode::UNAUTHORIZED, text);
    };
    let request: BackupRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let Ok(turn) = key.turn.clone().try_acquire_owned() else {
        return refuse(
            StatusCode::CONFLICT,
            "the node is being backed up already".to_owned(),
        );
    };
    let (lines, told) = mpsc::channel::<BackupLine>(LINES);
    let node = shown.node.clone();
    drop(tokio::spawn(async move {
        let _turn = turn;
        let (tell, made) = (lines.clone(), mpsc::unbounded_channel());
        let (results, mut waiting) = made;
        let work = back_up_all(&node, &request, move |line| {
            // Progress that nobody reads may be lost, a result may not.
            match line {
                BackupLine::Progress { .. } => drop(tell.try_send(line)),
                line => drop(results.send(line)),
            }
        });
        tokio::pin!(work);
        let ended = loop {
            tokio::select! {
                biased;
                Some(line) = waiting.recv() => if lines.send(line).await.is_err() { return },
                ended = &mut work => break ended,
                () = lines.closed() => return,
            }
        };
        while let Ok(line) = waiting.try_recv() {
            if lines.send(line).await.is_err() {
                return;
            }
        }
        let last = match ended {
            Ok(()) => BackupLine::Done,
            Err(error) => BackupLine::Failed(error.to_string()),
        };
        // Whoever has gone is told nothing.
        drop(lines.send(last).await);
    }));
    let lines = futures_util::stream::unfold(told, |mut told| async move {
        let line = told.recv().await?;
        let text = serde_json::to_string(&line).map(|text| text + "\n");
        Some((text, told))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}
