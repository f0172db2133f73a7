//! What ends a membership, and what puts another authority in the place of one.
//!
//! An exchange of authorities in files, each step of which can be done again after a crash:
//!
//! ```text
//! begin    ca.next.key, ca.next.pem      made
//!          ca.vouched.pem                the old one vouches for the new one in a certificate, which goes behind those of
//!                                        members: who was away and trusts the old one alone can still check them
//!          notices                       the old one endorses the new one; what it has revoked, the new one revokes too
//!          ca.pem                        both
//!          ca.old.key ◀── ca.key ◀── ca.next.key      from now on the new one signs
//! …        members renew their certificates by themselves
//! finish   notices                       the new one retires the old one
//!          ca.pem                        the new one alone
//!          ca.vouched.pem, ca.old.key    removed
//! ```

use std::fs::{self, File};
use std::io;
use std::time::SystemTime;

use rcgen::KeyPair;
use syncline_sync::quic::{NodeId, Root};

use super::AUTHORITY;
use super::authority::{Authority, roots_of, signing};
use super::certificates::{self, pem};
use super::cluster::{AUTHORITY_KEY, VOUCHED};
use super::error::TrustError;
use super::files::{Access, io_error, read, replace, sync_directory};
use super::members::Member;
use super::notices::{Notice, Notices, Statement, until};
use super::office::Office;
use super::secret::parse_hex;
use super::token::seconds;

const NEXT_KEY: &str = "ca.next.key";
const NEXT: &str = "ca.next.pem";
const OLD_KEY: &str = "ca.old.key";
/// Locked by whoever changes notices or the authority.
const LOCK: &str = "office.lock";
/// The fewest letters of a node's id that stand for it.
const PREFIX: usize = 8;

impl Office {
    /// The node that is meant: by its whole id, by the beginning of one in the list, or by its name there.
    ///
    /// # Errors
    /// [`TrustError::Member`] when it is none, or more than one.
    pub fn find(&self, wanted: &str) -> Result<NodeId, TrustError> {
        if let Some(id) = parse_hex(wanted) {
            return Ok(NodeId::from_bytes(id));
        }
        let members = self.members()?;
        let meant = |member: &&Member| {
            member.name.as_deref() == Some(wanted)
                || (wanted.len() >= PREFIX && member.node.to_string().starts_with(wanted))
        };
        let mut found = members.iter().filter(meant);
        match (found.next(), found.next()) {
            (Some(member), None) => Ok(member.node),
            (none, _) => Err(TrustError::Member {
                wanted: wanted.to_owned(),
                several: none.is_some(),
            }),
        }
    }

    /// Ends a membership: no member lets the node in from the moment that it hears of it. Whether it is news.
    ///
    /// With `gone`, its stores are not counted on any more either: what was kept for them is collected, and they come
    /// back only empty.
    ///
    /// # Errors
    /// When the authority cannot sign, or it cannot be written.
    pub fn revoke(&self, node: &NodeId, gone: bool) -> Result<bool, TrustError> {
        let _lock = self.lock()?;
        let mut notices = Notices::load(self.home())?;
        let known = match gone {
            true => notices.gone(),
            false => notices.revoked(),
        };
        if known.contains(node) {
            return Ok(false);
        }
        let statement = Statement::Revoke {
            node: *node.as_bytes(),
            gone,
            until: until(SystemTime::now()),
        };
        notices.insert(Notice::sign(&*self.authority, self.cluster(), statement)?);
        notices.expire(SystemTime::now());
        notices.save(self.home())?;
        Ok(true)
    }

    /// Those whose membership was ended, until every certificate that they could have has ended.
    ///
    /// # Errors
    /// When the notices cannot be read.
    pub fn revoked(&self) -> Result<Vec<NodeId>, TrustError> {
        Ok(Notices::load(self.home())?.revoked().into_iter().collect())
    }

    /// Whoever changes something waits for whoever does.
    fn lock(&self) -> Result<File, TrustError> {
        let path = self.home().join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error(&path))?;
        file.lock().map_err(io_error(&path))?;
        Ok(file)
    }

    /// Begins to put a new authority, in files, in the place of the one that there is: from now on it signs, and members trust both.
    ///
    /// # Errors
    /// [`TrustError::Exchange`] when one is under way.
    pub fn begin_exchange(&self) -> Result<(), TrustError> {
        let _lock = self.lock()?;
        let home = self.home();
        let path = |name: &str| home.join(name);
        if path(OLD_KEY).exists() && !path(NEXT_KEY).exists() {
            return Err(TrustError::Exchange {
                reason: "an exchange of the authority is under way; finish it with `syncline cluster rotate --authority --finish`"
                    .to_owned(),
            });
        }
        if !path(NEXT_KEY).exists() {
            let key = KeyPair::generate().map_err(TrustError::generate)?;
            let certificate = certificates::authority(&key).map_err(TrustError::generate)?;
            // The key is what says that the step is done.
            replace(&path(NEXT), certificate, Access::All)?;
            replace(&path(NEXT_KEY), key.serialize_pem(), Access::Owner)?;
        }
        let next = read(&path(NEXT))?;
        let new = roots_of(&next)?;
        let new = new.first().ok_or_else(no_certificate)?;
        let new_key =
            KeyPair::from_pem(&read(&path(NEXT_KEY))?).map_err(|error| TrustError::Damaged {
                path: path(NEXT_KEY),
                reason: error.to_string(),
            })?;

        let mut notices = Notices::load(home)?;
        let endorsed = Statement::Succeed {
            root: new.certificate().to_vec(),
        };
        notices.insert(Notice::sign(&*self.authority, self.cluster(), endorsed)?);
        let successor = Successor {
            root: new.clone(),
            key: new_key,
        };
        for notice in notices.clone().iter() {
            if matches!(notice.statement, Statement::Revoke { .. }) {
                notices.insert(Notice::sign(&successor, self.cluster(), notice.statement)?);
            }
        }
        notices.save(home)?;

        let old_key = KeyPair::from_pem(&read(&path(AUTHORITY_KEY))?).map_err(|error| {
            TrustError::Damaged {
                path: path(AUTHORITY_KEY),
                reason: error.to_string(),
            }
        })?;
        let vouched =
            certificates::vouched(&successor.key, &old_key).map_err(TrustError::generate)?;
        replace(&path(VOUCHED), vouched, Access::All)?;

        let old = roots_of(&read(&path(AUTHORITY))?)?;
        let old: String = old
            .iter()
            .filter(|root| root.id() != new.id())
            .map(|root| pem(root.certificate()))
            .collect();
        replace(&path(AUTHORITY), next + &old, Access::All)?;
        if !path(OLD_KEY).exists() {
            replace(&path(OLD_KEY), read(&path(AUTHORITY_KEY))?, Access::Owner)?;
        }
        fs::rename(path(NEXT_KEY), path(AUTHORITY_KEY)).map_err(io_error(&path(AUTHORITY_KEY)))?;
        sync_directory(home)
    }

    /// Ends the exchange: the old authority is trusted no longer. Without `force`, only if every member in the list whose certificate has not ended
    /// has a new one.
    ///
    /// # Errors
    /// [`TrustError::Exchange`] when none is under way, or not everybody has come along; it names them.
    pub fn finish_exchange(&self, force: bool) -> Result<(), TrustError> {
        let _lock = self.lock()?;
        let home = self.home();
        let old_key = home.join(OLD_KEY);
        if !old_key.exists() {
            return Err(TrustError::Exchange {
                reason: "no exchange of the authority is under way; begin one with `syncline cluster rotate --authority`"
                    .to_owned(),
            });
        }
        let left = self.left_behind()?;
        if !left.is_empty() && !force {
            let names: Vec<_> = left
                .iter()
                .map(|member| {
                    member
                        .name
                        .clone()
                        .unwrap_or_else(|| member.node.to_string())
                })
                .collect();
            return Err(TrustError::Exchange {
                reason: format!(
                    "{} would be shut out, since their certificates are of the old authority: start them so that they renew, or revoke \
                     them, or give --force and have them join again by an invitation",
                    names.join(", ")
                ),
            });
        }
        let new = signing(&*self.authority)?;
        let mut notices = Notices::load(home)?;
        let roots = self.authority.roots()?;
        for root in roots.iter().filter(|root| root.id() != new) {
            let retired = Statement::Retire {
                authority: *root.id().as_bytes(),
            };
            notices.insert(Notice::sign(&*self.authority, self.cluster(), retired)?);
        }
        notices.save(home)?;
        let first = roots.first().ok_or_else(no_certificate)?;
        replace(&home.join(AUTHORITY), pem(first.certificate()), Access::All)?;
        match fs::remove_file(home.join(VOUCHED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(io_error(home))?,
        }
        fs::remove_file(&old_key).map_err(io_error(&old_key))?;
        sync_directory(home)
    }

    /// The members whose certificates have not ended and are not of the authority that signs now.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn left_behind(&self) -> Result<Vec<Member>, TrustError> {
        let signs = signing(&*self.authority)?;
        let revoked = Notices::load(self.home())?.revoked();
        let now = seconds(SystemTime::now());
        let mut members = self.members()?;
        members.retain(|member| {
            member.authority != signs && member.expires > now && !revoked.contains(&member.node)
        });
        Ok(members)
    }
}

fn no_certificate() -> TrustError {
    TrustError::Authority {
        reason: "it has no certificate".to_owned(),
    }
}

/// The authority to be.
struct Successor {
    root: Root,
    key: KeyPair,
}

impl Authority for Successor {
    fn roots(&self) -> Result<Vec<Root>, TrustError> {
        Ok(vec![self.root.clone()])
    }

    fn certify(&self, _: &super::CertificateRequest) -> Result<String, TrustError> {
        Err(TrustError::NoAuthority)
    }

    fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, TrustError> {
        rcgen::SigningKey::sign(&self.key, statement).map_err(TrustError::generate)
    }
}

#[cfg(test)]
mod tests;
