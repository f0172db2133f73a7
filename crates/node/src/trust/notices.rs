//! What the authority tells all members, signed: who is one no more, and that another authority takes its place.
//!
//! A node keeps those that it knows beside its identity, and takes over from anybody those that it lacks. So they make a set that grows
//! by union, in whatever order they come; two holders of the authority who revoke at the same time revoke both, and nobody can
//! bring back a state from before. A revocation is dropped once every certificate that it could be about has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use syncline_sync::quic::{AuthorityId, NodeId, Root};

use super::ClusterId;
use super::authority::{Authority, signing};
use super::certificates::NODE_VALIDITY;
use super::enrolment::{decode, encode};
use super::error::TrustError;
use super::files::{Access, read_bytes, replace};
use super::token::seconds;

/// Beside the identity.
pub(super) const NOTICES: &str = "notices";
/// What signatures are made for, before the cluster's name and the statement.
const CONTEXT: &[u8] = b"syncline v1: notice of the authority\0";
/// The most notices that are kept. Beyond, none is taken from peers, which could not have made them but for the authority.
const MOST: usize = 4_000;
/// The longest encoding of them that is read, which has to fit a frame of gossip: a revocation takes about 150 bytes.
pub(super) const LONGEST: usize = (1 << 20) - 1;

/// What the authority says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Statement {
    /// The node is no member any more.
    Revoke {
        node: [u8; 32],
        /// Whether its stores will not come back either, so that they are not to be counted on.
        gone: bool,
        /// When its last certificate has ended for sure, in Unix seconds.
        until: u64,
    },
    /// The authority with this certificate, DER, is to be trusted as well.
    Succeed { root: Vec<u8> },
    /// The authority of this name is to be trusted no longer. Another one says so.
    Retire { authority: [u8; 32] },
}

/// A statement, by whom, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) statement: Statement,
    by: [u8; 32],
    signature: Vec<u8>,
}

impl Notice {
    /// Has the authority say it.
    pub(super) fn sign(
        authority: &dyn Authority,
        cluster: ClusterId,
        statement: Statement,
    ) -> Result<Self, TrustError> {
        Ok(Self {
            by: *signing(authority)?.as_bytes(),
            signature: authority.sign(&signed_bytes(cluster, &statement))?,
            statement,
        })
    }

    fn is_by(&self, root: &Root, cluster: ClusterId) -> bool {
        self.by == *root.id().as_bytes()
            && root.has_signed(&signed_bytes(cluster, &self.statement), &self.signature)
    }
}

fn signed_bytes(cluster: ClusterId, statement: &Statement) -> Vec<u8> {
    [CONTEXT, cluster.as_bytes(), &encode(statement)].concat()
}

/// For how long a node that is revoked now can have a certificate, clocks that differ included.
pub(super) fn until(now: SystemTime) -> u64 {
    seconds(now + NODE_VALIDITY + Duration::from_secs(30 * 24 * 60 * 60))
}

/// The notices that a node knows. Those in the file were checked when they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notices(BTreeMap<(Statement, [u8; 32]), Vec<u8>>);

impl Notices {
    pub(super) fn load(directory: &Path) -> Result<Self, TrustError> {
        let path = directory.join(NOTICES);
        match read_bytes(&path) {
            Err(TrustError::Missing { .. }) => Ok(Self::default()),
            Err(error) => Err(error),
            Ok(bytes) => Self::from_bytes(&bytes).ok_or(TrustError::Damaged {
                path,
                reason: "it does not hold notices".to_owned(),
            }),
        }
    }

    pub(super) fn save(&self, directory: &Path) -> Result<(), TrustError> {
        replace(&directory.join(NOTICES), self.to_bytes(), Access::All)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let all: Vec<Notice> = self.iter().collect();
        encode(&all)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        if bytes.len() > LONGEST {
            return None;
        }
        let mut notices = Self::default();
        for notice in decode::<Vec<Notice>>(bytes)? {
            notices.insert(notice);
        }
        Some(notices)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Notice> {
        self.0.iter().map(|((statement, by), signature)| Notice {
            statement: statement.clone(),
            by: *by,
            signature: signature.clone(),
        })
    }

    /// Whether it is news.
    pub(super) fn insert(&mut self, notice: Notice) -> bool {
        let Notice {
            statement,
            by,
            signature,
        } = notice;
        let before = self.0.len();
        self.0.entry((statement, by)).or_insert(signature);
        self.0.len() > before
    }

    /// Takes over what an authority says that is trusted, by these roots or by those that these endorse; whether there was news.
    pub(super) fn learn(
        &mut self,
        told: &Self,
        roots: &[Root],
        cluster: ClusterId,
        now: SystemTime,
    ) -> bool {
        let mut trusted = roots.to_vec();
        let mut left: Vec<Notice> = told
            .iter()
            .filter(|notice| {
                let known = (notice.statement.clone(), notice.by);
                !self.0.contains_key(&known) && notice.statement.is_in_force(now)
            })
            .collect();
        let mut news = false;
        // What one notice endorses may have signed another.
        loop {
            let (good, rest): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|notice| trusted.iter().any(|root| notice.is_by(root, cluster)));
            if good.is_empty() {
                left = rest;
                break;
            }
            for notice in good {
                if self.0.len() >= MOST {
                    tracing::error!(most = MOST, "more notices of the authority than are kept");
                    return news;
                }
                if let Statement::Succeed { root } = &notice.statement {
                    trusted.extend(Root::from_der(root));
                }
                news |= self.insert(notice);
            }
            left = rest;
        }
        if !left.is_empty() {
            tracing::debug!(
                count = left.len(),
                "notices of an authority that is not trusted here were passed over"
            );
        }
        news
    }

    /// Forgets what is about certificates that have all ended; whether there was any.
    pub(super) fn expire(&mut self, now: SystemTime) -> bool {
        let before = self.0.len();
        self.0
            .retain(|(statement, _), _| statement.is_in_force(now));
        self.0.len() < before
    }

    /// The nodes that are members no more.
    pub(super) fn revoked(&self) -> BTreeSet<NodeId> {
        let revoked = self.0.keys().filter_map(|(statement, _)| match statement {
            Statement::Revoke { node, .. } => Some(NodeId::from_bytes(*node)),
            Statement::Succeed { .. } | Statement::Retire { .. } => None,
        });
        revoked.collect()
    }

    /// Those whose stores will not come back.
    pub(super) fn gone(&self) -> BTreeSet<NodeId> {
        let gone = self.0.keys().filter_map(|(statement, _)| match statement {
            Statement::Revoke {
                node, gone: true, ..
            } => Some(NodeId::from_bytes(*node)),
            _ => None,
        });
        gone.collect()
    }

    /// Whether another authority takes the place of this one, for who trusts these.
    pub(super) fn has_successor(&self, issuer: AuthorityId, roots: &[Root]) -> bool {
        self.0.keys().any(|(statement, by)| match statement {
            Statement::Succeed { root } => {
                *by == *issuer.as_bytes()
                    && Root::from_der(root)
                        .is_some_and(|root| roots.iter().any(|it| it.id() == root.id()))
            }
            _ => false,
        })
    }

    /// The authorities to trust for who trusts these. The newest come first; at least one stays.
    pub(super) fn roots(&self, roots: &[Root]) -> Vec<Root> {
        let retired: BTreeSet<AuthorityId> = self
            .0
            .keys()
            .filter_map(|(statement, by)| match statement {
                // None retires itself: somebody has to be left.
                Statement::Retire { authority } if authority != by => {
                    Some(AuthorityId::from_bytes(*authority))
                }
                _ => None,
            })
            .collect();
        let mut all: Vec<Root> = roots.to_vec();
        for (statement, _) in self.0.keys() {
            if let Statement::Succeed { root } = statement
                && let Some(root) = Root::from_der(root)
                && !all.iter().any(|known| known.id() == root.id())
            {
                all.insert(0, root);
            }
        }
        let left: Vec<Root> = all
            .iter()
            .filter(|root| !retired.contains(&root.id()))
            .cloned()
            .collect();
        if left.is_empty() { all } else { left }
    }
}

impl Statement {
    fn is_in_force(&self, now: SystemTime) -> bool {
        match self {
            Self::Revoke { until, .. } => *until > seconds(now),
            Self::Succeed { .. } | Self::Retire { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests;
