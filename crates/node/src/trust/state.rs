//! What a running node goes by as a member, which may change while it runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_sync::quic::Trust;

use super::authority::{Authority, FileAuthority};
use super::cluster::AUTHORITY_KEY;
use super::error::TrustError;
use super::office::Office;
use super::secret::Secret;
use super::{Membership, SECRET};

/// What a running node goes by as a member.
pub(crate) struct TrustState {
    pub(super) trust: Trust,
    pub(super) secret: Secret,
    /// Where the node's identity lies.
    pub(super) directory: Option<PathBuf>,
    /// Where it decides on petitions, if it has an authority.
    office: Option<Arc<Office>>,
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
        let trust = Trust::new(membership.identity.clone())?.tagging_by(secret.tags());
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
        if let Some(office) = &office {
            trust.admit_petitions(office.clone());
        }
        Ok(Self {
            trust,
            secret,
            directory: membership.directory.clone(),
            office,
        })
    }

    /// What endpoints are bound with.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn office(&self) -> Result<&Arc<Office>, TrustError> {
        self.office.as_ref().ok_or(TrustError::NoAuthority)
    }
}

impl fmt::Debug for TrustState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trust.fmt(f)
    }
}
