//! The invitations that are out, as files beside the authority.
//!
//! ```text
//! invitations/
//!   <hash>.open     what the token's holder will be: until when, which namespaces, a name
//!   <hash>.used     who it became
//! ```
//!
//! The hash is that of the key that follows from a token's secret; who reads the files cannot enrol. An invitation is used up by
//! a hard link to a file that was written and synced before: one step that happens once, however many ask for it at
//! a time and whenever the process is killed. The one who used it may ask again, with the same key, in case the answer was lost.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use syncline_sync::quic::NodeId;

use super::error::TrustError;
use super::fields::Fields;
use super::files::{Access, create_directory, io_error, read, scratch, sync_directory, write_new};
use super::secret::parse_hex;
use super::token::{MOST_ADDRESSES, seconds};
use crate::name::check_name;

/// The most namespaces that a member can be bound to.
const MOST_NAMESPACES: usize = 256;
/// How long the files of an invitation that has expired are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What somebody is invited to; see [`Cluster::invite`](super::Cluster::invite).
#[derive(Clone, Debug)]
pub struct Invitation {
    pub(super) addresses: Vec<String>,
    pub(super) valid_for: Duration,
    pub(super) namespaces: Option<Vec<String>>,
    pub(super) name: Option<String>,
}

impl Invitation {
    /// To enrol at one of these addresses, `host:port` of a running node that has the authority, within this time.
    pub fn new<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
        valid_for: Duration,
    ) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            valid_for,
            namespaces: None,
            name: None,
        }
    }

    /// Lets the member carry these namespaces and no others. Without it, all there are and will be.
    #[must_use]
    pub fn namespaces<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.namespaces = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Calls the member so in the authority's list; for people.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(super) fn check(&self) -> Result<(), TrustError> {
        let wrong = |reason: String| Err(TrustError::Invitation { reason });
        if self.addresses.is_empty() || self.addresses.len() > MOST_ADDRESSES {
            return wrong(format!("it has 1 to {MOST_ADDRESSES} addresses"));
        }
        if let Some(address) = self.addresses.iter().find(|it| !is_address(it)) {
            return wrong(format!(
                "{address:?} is no address such as oslo.example:7400"
            ));
        }
        if self.valid_for.is_zero() {
            return wrong("it must be good for a while".to_owned());
        }
        let namespaces = self.namespaces.as_deref().unwrap_or_default();
        if namespaces.len() > MOST_NAMESPACES {
            return wrong(format!("it names at most {MOST_NAMESPACES} namespaces"));
        }
        for name in namespaces {
            if let Err(error) = check_name(name) {
                return wrong(error.to_string());
            }
        }
        Ok(())
    }
}

/// Whether a port follows a host, in which there is nothing that would not be in one.
fn is_address(text: &str) -> bool {
    let printable = text.len() <= 300 && text.bytes().all(|byte| byte.is_ascii_graphic());
    printable
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

/// What an open invitation says.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) expires: u64,
    pub(super) namespaces: Option<Vec<String>>,
    pub(super) name: Option<String>,
}

/// What becomes of somebody who shows the key of an invitation.
#[derive(Debug)]
pub(super) enum Redeemed {
    /// It may become a member, for the first time or with the same key again.
    Yes(Open),
    Unknown,
    Expired(u64),
    UsedBy(NodeId),
}

/// The directory of them.
#[derive(Clone, Debug)]
pub(super) struct Invitations {
    directory: PathBuf,
}

impl Invitations {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn open_file(&self, key: &NodeId) -> PathBuf {
        self.directory.join(format!("{key}.open"))
    }

    fn used_file(&self, key: &NodeId) -> PathBuf {
        self.directory.join(format!("{key}.used"))
    }

    /// Has it be known from now on, across a power loss.
    pub(super) fn add(&self, key: &NodeId, invited: &Open) -> Result<(), TrustError> {
        create_directory(&self.directory)?;
        self.clean(SystemTime::now())?;
        let mut fields = Fields::default().with("expires", invited.expires);
        if let Some(name) = &invited.name {
            fields = fields.with("name", name);
        }
        if let Some(namespaces) = &invited.namespaces {
            fields = fields
                .with("restricted", true)
                .with_all("namespace", namespaces);
        }
        let made = scratch(&self.directory);
        write_new(&made, fields.to_text(), Access::Owner)?;
        let path = self.open_file(key);
        fs::rename(&made, &path).map_err(io_error(&path))?;
        sync_directory(&self.directory)
    }

    fn read(&self, key: &NodeId) -> Result<Option<Open>, TrustError> {
        let path = self.open_file(key);
        let text = match read(&path) {
            Err(TrustError::Missing { .. }) => return Ok(None),
            other => other?,
        };
        let fields = Fields::parse(&text);
        let restricted = fields.get("restricted").is_some();
        Ok(Some(Open {
            expires: fields.need("expires", &path)?,
            namespaces: restricted.then(|| fields.all("namespace").map(str::to_owned).collect()),
            name: fields.get("name").map(str::to_owned),
        }))
    }

    /// Whether somebody with this key may ask at all. One that was used is told so, until it expires.
    pub(super) fn knows(&self, key: &NodeId, now: SystemTime) -> bool {
        match self.read(key) {
            Ok(invited) => invited.is_some_and(|it| it.expires > seconds(now)),
            Err(error) => {
                tracing::error!(%error, "an invitation cannot be read");
                false
            }
        }
    }

    /// Uses an invitation up for a node. From the moment that the answer is yes, it is for no other node ever.
    pub(super) fn redeem(
        &self,
        key: &NodeId,
        node: &NodeId,
        now: SystemTime,
    ) -> Result<Redeemed, TrustError> {
        let Some(open) = self.read(key)? else {
            return Ok(Redeemed::Unknown);
        };
        if open.expires <= seconds(now) {
            return Ok(Redeemed::Expired(open.expires));
        }
        let made = scratch(&self.directory);
        let text = Fields::default().with("node", node).to_text();
        write_new(&made, &text, Access::Owner)?;
        let used = self.used_file(key);
        let linked = fs::hard_link(&made, &used);
        fs::remove_file(&made).map_err(io_error(&made))?;
        match linked {
            Ok(()) => {
                sync_directory(&self.directory)?;
                Ok(Redeemed::Yes(open))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let fields = Fields::parse(&read(&used)?);
                let by: String = fields.need("node", &used)?;
                let by = parse_hex(&by).ok_or_else(|| TrustError::Damaged {
                    path: used.clone(),
                    reason: "it names no node".to_owned(),
                })?;
                let by = NodeId::from_bytes(by);
                // Whoever found the link may have found it before it was sure to survive.
                sync_directory(&self.directory)?;
                Ok(match by == *node {
                    true => Redeemed::Yes(open),
                    false => Redeemed::UsedBy(by),
                })
            }
            Err(error) => Err(io_error(&used)(error)),
        }
    }

    /// Removes what expired long ago, and what a crash left.
    fn clean(&self, now: SystemTime) -> Result<(), TrustError> {
        let failed = io_error(&self.directory);
        for entry in fs::read_dir(&self.directory).map_err(&failed)? {
            let path = entry.map_err(&failed)?.path();
            let aged = fs::metadata(&path)
                .and_then(|file| file.modified())
                .is_ok_and(|at| at + KEPT < now);
            let open = match path.extension().and_then(|it| it.to_str()) {
                Some("open") => Fields::parse(&read(&path)?),
                Some("used") | None => continue,
                // Half of a file, if nobody is about to write it.
                Some(_) if aged => {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                    continue;
                }
                Some(_) => continue,
            };
            let expires: u64 = open.need("expires", &path)?;
            if expires.saturating_add(KEPT.as_secs()) < seconds(now) {
                // The invitation goes before the note that it was used.
                fs::remove_file(&path).map_err(io_error(&path))?;
                match fs::remove_file(path.with_extension("used")) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(io_error(&path))?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
