//! Who decides on petitions: whom to let in, whose certificate to renew, and on whose word.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use syncline_sync::quic::{Doorkeeper, Grant, NodeId, Petitioner};

use super::ClusterId;
use super::authority::{Authority, CertificateRequest, signing};
use super::certificates::pem;
use super::enrolment::{Answer, Ask, Joined, Papers, Refusal, decode, encode};
use super::error::TrustError;
use super::invitations::{Invitation, Invitations, Open, Redeemed};
use super::members::{Member, Members};
use super::notices::Notices;
use super::secret::Secret;
use super::token::{Token, seconds};

const INVITATIONS: &str = "invitations";
const MEMBERS: &str = "members";

/// An authority with the lists of those whom it has invited, and of those who are members by it: it decides on petitions.
///
/// It works on files that the running node reads as well, so that it can be used beside it.
#[derive(Clone)]
pub struct Office {
    pub(super) authority: Arc<dyn Authority>,
    pub(super) home: PathBuf,
    pub(super) secret: Secret,
    invitations: Invitations,
    members: Members,
}

impl Office {
    /// With its lists in this directory.
    pub(crate) fn new(authority: Arc<dyn Authority>, home: PathBuf, secret: Secret) -> Self {
        Self {
            authority,
            secret,
            invitations: Invitations::new(home.join(INVITATIONS)),
            members: Members::new(home.join(MEMBERS)),
            home,
        }
    }

    /// Invites somebody; whoever has the token can become a member.
    ///
    /// # Errors
    /// [`TrustError::Invitation`] when it cannot be meant so, and when it cannot be written.
    pub fn invite(&self, invitation: &Invitation) -> Result<Token, TrustError> {
        invitation.check()?;
        let expires = SystemTime::now() + invitation.valid_for;
        let authority = signing(&*self.authority)?;
        let token = Token::mint(authority, invitation.addresses.clone(), expires)?;
        let open = Open {
            expires: seconds(expires),
            namespaces: invitation.namespaces.clone(),
            name: invitation.name.clone(),
        };
        self.invitations.add(&token.key()?, &open)?;
        Ok(token)
    }

    /// Where its files are.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Those who became members here, by an invitation or a renewal.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn members(&self) -> Result<Vec<Member>, TrustError> {
        self.members.all()
    }

    fn decide(&self, petitioner: &Petitioner, request: &[u8]) -> Result<Answer, TrustError> {
        let refused = |why| Ok(Answer::Refused(why));
        match (petitioner, decode(request)) {
            (Petitioner::Guest { key }, Some(Ask::Join(csr))) => {
                let Some(mut request) = CertificateRequest::read(&csr, Grant::ALL) else {
                    return refused(Refusal::Malformed);
                };
                // A node whose key is the token's would be whoever has the token.
                if request.node == *key {
                    return refused(Refusal::NotYours);
                }
                if Notices::load(&self.home)?.revoked().contains(&request.node) {
                    return refused(Refusal::Revoked);
                }
                let now = SystemTime::now();
                let open = match self.invitations.redeem(key, &request.node, now)? {
                    Redeemed::Yes(open) => open,
                    Redeemed::Unknown => return refused(Refusal::Unknown),
                    Redeemed::Expired(at) => return refused(Refusal::Expired(at)),
                    Redeemed::UsedBy(node) => {
                        tracing::warn!(invitation = %key, used_by = %node, by = %request.node,
                            "a used invitation was shown; if nobody knows the node that used it, revoke that");
                        return refused(Refusal::Used);
                    }
                };
                request.grant = self.grant(open.namespaces.as_deref());
                let papers = self.issue(&request, open.name.as_deref())?;
                tracing::info!(node = %request.node, name = open.name, namespaces = ?open.namespaces, "a member was admitted");
                Ok(Answer::Joined(Joined {
                    papers,
                    secret: *self.secret.bytes(),
                    namespaces: open.namespaces,
                }))
            }
            (Petitioner::Member { node, grant }, Some(Ask::Renew(csr))) => {
                match CertificateRequest::read(&csr, grant.clone()) {
                    None => refused(Refusal::Malformed),
                    Some(request) if request.node != *node => refused(Refusal::NotYours),
                    Some(request) => {
                        let papers = self.issue(&request, None)?;
                        tracing::info!(%node, "a certificate was renewed");
                        Ok(Answer::Renewed(papers))
                    }
                }
            }
            (_, None) => refused(Refusal::Malformed),
            (_, Some(_)) => refused(Refusal::NotYours),
        }
    }

    pub(super) fn cluster(&self) -> ClusterId {
        self.secret.cluster_id()
    }

    pub(super) fn note(
        &self,
        node: &NodeId,
        name: &str,
        expires: SystemTime,
    ) -> Result<(), TrustError> {
        let authority = signing(&*self.authority)?;
        self.members.note(node, Some(name), expires, authority)
    }

    /// What the namespaces of these names are in a certificate.
    pub(super) fn grant(&self, namespaces: Option<&[String]>) -> Grant {
        namespaces.map_or(Grant::ALL, |names| {
            Grant::of(names.iter().map(String::as_str), &self.secret.tags())
        })
    }

    /// Certifies a node and notes it.
    pub(super) fn issue(
        &self,
        request: &CertificateRequest,
        name: Option<&str>,
    ) -> Result<Papers, TrustError> {
        let certificate = self.authority.certify(request)?;
        let roots = self.authority.roots()?;
        let authorities: String = roots.iter().map(|root| pem(root.certificate())).collect();
        let expires = SystemTime::now() + request.valid_for;
        self.members
            .note(&request.node, name, expires, signing(&*self.authority)?)?;
        Ok(Papers {
            certificate,
            authorities,
            notices: Notices::load(&self.home)?.to_bytes(),
        })
    }
}

impl Doorkeeper for Office {
    fn invited(&self, key: &NodeId) -> bool {
        self.invitations.knows(key, SystemTime::now())
    }

    fn answer(&self, petitioner: &Petitioner, from: SocketAddr, request: &[u8]) -> Vec<u8> {
        let answer = self.decide(petitioner, request).unwrap_or_else(|error| {
            tracing::error!(%from, %error, "a petition could not be decided on");
            Answer::Refused(Refusal::Failed)
        });
        if let Answer::Refused(why) = &answer {
            tracing::warn!(%from, ?petitioner, %why, "a petition was turned down");
        }
        encode(&answer)
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}
