//! What a running node goes by as a member, which may change while it runs.
//!
//! ```text
//! identity/notices         written by whoever has the authority ─┐
//! identity/node/…          the certificate, when renewed         ├─▶ looked at every other second ─▶ TrustState ─▶ Trust
//! what peers tell of notices ────────────────────────────────────┘        │
//!                                             identity/node/notices ◀─────┘
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use syncline_sync::quic::{Identity, NodeId, Root, Trust};

use super::authority::{Authority, FileAuthority};
use super::certificates::pem;
use super::cluster::AUTHORITY_KEY;
use super::error::TrustError;
use super::files::{Access, replace};
use super::notices::{NOTICES, Notices};
use super::office::Office;
use super::secret::Secret;
use super::{AUTHORITY, CERTIFICATE, ClusterId, Membership, SECRET};
use crate::core::lock;

/// How long before its end a certificate is warned of.
const WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a running node goes by as a member.
pub(crate) struct TrustState {
    trust: Trust,
    secret: Secret,
    /// Where the node's identity lies.
    directory: Option<PathBuf>,
    /// Where it decides on petitions, if it has an authority.
    office: Option<Arc<Office>>,
    held: Mutex<Held>,
}

struct Held {
    notices: Notices,
    /// When the files were last written that were last read.
    stamps: Vec<Option<SystemTime>>,
    /// Why the certificate was not renewed when that was last tried.
    renewal: Option<String>,
}

/// How a node stands as a member: see [`Node::trust`](crate::Node::trust).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrustStatus {
    /// Who it is.
    pub node: NodeId,
    /// When its certificate ends.
    pub expires_at: SystemTime,
    /// Whether that is in less than thirty days, or over.
    pub expires_soon: bool,
    /// Why renewing it failed when that was last tried; `None` if it went well, or was not due.
    pub renewal: Option<String>,
    /// The nodes that are known to have been revoked, this one perhaps among them.
    pub revoked: BTreeSet<NodeId>,
    /// The authorities it trusts: one, or two while one takes the place of the other.
    pub authorities: Vec<super::AuthorityId>,
    /// Whether it can admit others.
    pub has_authority: bool,
}

impl TrustState {
    /// As the files say. `home` is where lists of invited and members are kept and where the authority is, unless it is
    /// somewhere else.
    pub(crate) fn new(
        membership: &Membership,
        home: Option<&Path>,
        authority: Option<Arc<dyn Authority>>,
    ) -> Result<Self, TrustError> {
        let secret = membership.secret.clone();
        let authority = authority.or_else(|| {
            let home = home.filter(|home| home.join(AUTHORITY_KEY).exists())?;
            // One of another cluster, beside an identity that the node was given, is not ours to use.
            let its = Secret::load(&home.join(SECRET)).ok()?;
            (its.bytes() == secret.bytes())
                .then(|| Arc::new(FileAuthority::new(home)) as Arc<dyn Authority>)
        });
        let office = authority.zip(home).map(|(authority, home)| {
            Arc::new(Office::new(authority, home.to_owned(), secret.clone()))
        });
        let trust = Trust::new(membership.identity.clone())?.tagging_by(secret.tags());
        if let Some(office) = &office {
            trust.admit_petitions(office.clone());
        }
        let directory = membership.directory.clone();
        let notices = directory.as_deref().map(Notices::load).transpose()?;
        let state = Self {
            trust,
            secret,
            directory,
            office,
            held: Mutex::new(Held {
                notices: notices.unwrap_or_default(),
                stamps: Vec::new(),
                renewal: None,
            }),
        };
        state.apply(&lock(&state.held).notices)?;
        state.reload()?;
        Ok(state)
    }

    /// What endpoints are bound with.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn office(&self) -> Result<&Arc<Office>, TrustError> {
        self.office.as_ref().ok_or(TrustError::NoAuthority)
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    fn cluster(&self) -> ClusterId {
        self.secret.cluster_id()
    }

    /// What the authority has told all members, as far as it is known here: signed, for [`learn`](Self::learn) of others. The same set
    /// has the same bytes.
    pub(crate) fn notices(&self) -> Vec<u8> {
        lock(&self.held).notices.to_bytes()
    }

    pub(crate) fn knows_no_notices(&self) -> bool {
        lock(&self.held).notices.is_empty()
    }

    /// Takes over what a peer knows of that; whether there was news. What no trusted authority has signed is passed over.
    ///
    /// Blocks on the disk when there is news.
    pub(crate) fn learn(&self, notices: &[u8]) -> Result<bool, TrustError> {
        let told = Notices::from_bytes(notices).ok_or(TrustError::Notices)?;
        self.take_over(&told)
    }

    fn take_over(&self, told: &Notices) -> Result<bool, TrustError> {
        let mut held = lock(&self.held);
        let mut notices = held.notices.clone();
        let identity = self.trust.identity();
        let now = SystemTime::now();
        let news = notices.learn(told, identity.authorities(), self.cluster(), now);
        let aged = notices.expire(now);
        if !news && !aged {
            return Ok(false);
        }
        if let Some(directory) = &self.directory {
            notices.save(directory)?;
        }
        self.apply(&notices)?;
        for node in notices.revoked().difference(&held.notices.revoked()) {
            match *node == identity.node_id() {
                true => tracing::error!(
                    "this node was revoked; it gets nothing from the others until it has joined again by another invitation"
                ),
                false => tracing::warn!(%node, "a node was revoked"),
            }
        }
        held.notices = notices;
        Ok(news)
    }

    /// Has handshakes go by the notices.
    fn apply(&self, notices: &Notices) -> Result<(), TrustError> {
        let identity = self.trust.identity();
        let roots = notices.roots(identity.authorities());
        if roots != identity.authorities() {
            if let Some(directory) = &self.directory {
                let text: String = roots.iter().map(|root| pem(root.certificate())).collect();
                replace(&directory.join(AUTHORITY), &text, Access::All)?;
            }
            let trusted: Vec<_> = roots.iter().map(Root::id).collect();
            tracing::warn!(?trusted, "the authorities that are trusted have changed");
            self.trust.adopt(identity.with_authorities(&roots)?)?;
        }
        self.trust.revoke(notices.revoked());
        Ok(())
    }

    /// Goes by what the files say that others may have changed; whether something was different.
    pub(crate) fn reload(&self) -> Result<bool, TrustError> {
        let Some(directory) = &self.directory else {
            return Ok(false);
        };
        let office = self
            .office
            .as_ref()
            .map(|office| office.home().join(NOTICES));
        let own = [CERTIFICATE, AUTHORITY].map(|name| directory.join(name));
        let stamps: Vec<_> = own
            .iter()
            .chain(&office)
            .map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
            .collect();
        if stamps == lock(&self.held).stamps {
            return Ok(false);
        }
        let mut changed = false;
        let identity = Membership::load(directory)?.identity;
        if !same(&identity, &self.trust.identity()) {
            tracing::info!(ends = ?identity.expires_at(), "goes by another certificate from now on");
            self.trust.adopt(identity)?;
            let notices = lock(&self.held).notices.clone();
            self.apply(&notices)?;
            changed = true;
        }
        if let Some(office) = &self.office {
            changed |= self.take_over(&Notices::load(office.home())?)?;
        }
        lock(&self.held).stamps = stamps;
        Ok(changed)
    }

    /// How it stands.
    pub(crate) fn status(&self) -> TrustStatus {
        let identity = self.trust.identity();
        let held = lock(&self.held);
        TrustStatus {
            node: identity.node_id(),
            expires_at: identity.expires_at(),
            expires_soon: ends_within(&identity, WARNING),
            renewal: held.renewal.clone(),
            revoked: held.notices.revoked(),
            authorities: identity.authorities().iter().map(Root::id).collect(),
            has_authority: self.office.is_some(),
        }
    }

    /// Whether the certificate should be renewed: a third of its time is left, or its authority was succeeded by another.
    pub(crate) fn renewal_is_due(&self) -> bool {
        let identity = self.trust.identity();
        let (begins, ends) = (identity.valid_from(), identity.expires_at());
        let whole = ends.duration_since(begins).unwrap_or_default();
        self.directory.is_some()
            && (ends_within(&identity, whole / 3)
                || identity.issuer().is_some_and(|issuer| {
                    lock(&self.held)
                        .notices
                        .has_successor(issuer, identity.authorities())
                }))
    }

    pub(super) fn note_renewal(&self, outcome: Result<(), String>) {
        lock(&self.held).renewal = outcome.err();
    }

    /// Those whose stores will not come back.
    pub(crate) fn gone(&self) -> BTreeSet<NodeId> {
        lock(&self.held).notices.gone()
    }
}

fn ends_within(identity: &Identity, time: Duration) -> bool {
    let left = identity.expires_at().duration_since(SystemTime::now());
    left.unwrap_or_default() < time
}

/// Whether both show and trust the same.
fn same(one: &Identity, other: &Identity) -> bool {
    one.expires_at() == other.expires_at()
        && one.certificate() == other.certificate()
        && one.authorities() == other.authorities()
}

impl fmt::Debug for TrustState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trust.fmt(f)
    }
}
