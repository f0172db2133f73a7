//! Whom an endpoint lets in: what TLS asks at each handshake, and what may change while connections are open.
//!
//! ```text
//!            Trust ── the current State: identity, authorities, who was revoked
//!              ▲  ╲
//!  adopt, revoke   ╲ asked at each handshake: which certificate to show, whether the peer's will do
//!                   ▼
//!       Server and client configuration of every endpoint bound with it
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::certificate::{Grant, Terms};
use super::identity::{CERTIFICATE_NAME, Identity};
use super::node_id::NodeId;
use super::petition::Doorkeeper;
use super::tls;

/// What a node goes by when it connects and is connected to: its identity, the authorities it trusts, the nodes that were
/// revoked, and who may knock without being a member.
///
/// Clones share it. All of it may change while endpoints are bound with it: handshakes from then on go by what is new, and
/// open connections that would not come about any more are closed.
#[derive(Clone)]
pub struct Trust(Arc<Shared>);

struct Shared {
    state: RwLock<Arc<State>>,
    /// Told of every change.
    changes: watch::Sender<()>,
}

/// All that a handshake goes by.
#[derive(Clone)]
struct State {
    identity: Identity,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    revoked: Arc<BTreeSet<NodeId>>,
    tags: [u8; 32],
    doorkeeper: Option<Arc<dyn Doorkeeper>>,
}

/// Why another identity is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// It is of another node.
    #[error(
        "the certificate is that of node {other}, this is node {own}; a certificate is renewed over the same key"
    )]
    OtherNode {
        /// Who we are.
        own: NodeId,
        /// Whose it is.
        other: NodeId,
    },
    /// It cannot be used for TLS.
    #[error("the identity cannot be used for TLS ({reason}); issue a new one")]
    Tls {
        /// What the TLS library said.
        reason: String,
    },
}

/// On which end of the connection the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// Who shows a certificate that is good.
#[derive(Clone, Debug)]
pub(crate) enum Admitted {
    /// A member, and the terms of its certificate.
    Member(Terms),
    /// Somebody who was invited, by the hash of the key that the invitation is for.
    Guest,
}

impl Trust {
    /// Goes by this identity and its authorities. Nobody is revoked, and nobody invited.
    ///
    /// # Errors
    /// [`AdoptError::Tls`].
    pub fn new(identity: Identity) -> Result<Self, AdoptError> {
        let state = State {
            clients: tls::client_verifier(identity.roots()).map_err(AdoptError::tls)?,
            servers: tls::server_verifier(identity.roots()).map_err(AdoptError::tls)?,
            identity,
            revoked: Arc::default(),
            tags: [0; 32],
            doorkeeper: None,
        };
        Ok(Self(Arc::new(Shared {
            state: RwLock::new(Arc::new(state)),
            changes: watch::Sender::new(()),
        })))
    }

    /// Reads the namespaces in certificates under this key; zeros if not told. See [`Grant::of`].
    pub fn tagging_by(self, key: [u8; 32]) -> Self {
        self.change(|state| state.tags = key);
        self
    }

    /// The identity that is shown.
    pub fn identity(&self) -> Identity {
        self.state().identity.clone()
    }

    /// Goes by another certificate over the same key, or by other authorities, from now on.
    ///
    /// # Errors
    /// [`AdoptError`]; then nothing has changed.
    pub fn adopt(&self, identity: Identity) -> Result<(), AdoptError> {
        let own = self.identity().node_id();
        let other = identity.node_id();
        if own != other {
            return Err(AdoptError::OtherNode { own, other });
        }
        let clients = tls::client_verifier(identity.roots()).map_err(AdoptError::tls)?;
        let servers = tls::server_verifier(identity.roots()).map_err(AdoptError::tls)?;
        self.change(|state| {
            state.identity = identity;
            state.clients = clients;
            state.servers = servers;
        });
        Ok(())
    }

    /// Lets these nodes in no more, and only these. Their open connections are closed.
    pub fn revoke(&self, nodes: BTreeSet<NodeId>) {
        self.change(|state| state.revoked = Arc::new(nodes));
    }

    /// Whether the node is let in no more.
    pub fn has_revoked(&self, node: &NodeId) -> bool {
        self.state().revoked.contains(node)
    }

    /// Has petitions answered from now on; see [`Petition`](super::Petition).
    pub fn admit_petitions(&self, doorkeeper: Arc<dyn Doorkeeper>) {
        self.change(|state| state.doorkeeper = Some(doorkeeper));
    }

    /// Whether this node's own certificate lets it carry the namespace.
    pub fn may_carry(&self, namespace: &str) -> bool {
        let state = self.state();
        state.identity.grant().covers(namespace, &state.tags)
    }

    /// Whether such a certificate of a peer's lets it carry the namespace.
    pub(crate) fn grants(&self, grant: &Grant, namespace: &str) -> bool {
        grant.covers(namespace, &self.state().tags)
    }

    pub(crate) fn doorkeeper(&self) -> Option<Arc<dyn Doorkeeper>> {
        self.state().doorkeeper.clone()
    }

    /// Judges the certificates of a peer on this side.
    pub(crate) fn judge(
        &self,
        side: Side,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Admitted, rustls::Error> {
        let (end, intermediates) = chain
            .split_first()
            .ok_or(rustls::Error::NoCertificatesPresented)?;
        let state = self.state();
        let node = NodeId::of_certificate(end)?;
        let outcome = match side {
            Side::Client => state
                .clients
                .verify_client_cert(end, intermediates, now)
                .map(drop),
            Side::Server => {
                let name = ServerName::try_from(CERTIFICATE_NAME)
                    .expect("the constant is a valid DNS name");
                state
                    .servers
                    .verify_server_cert(end, intermediates, &name, &[], now)
                    .map(drop)
            }
        };
        match outcome {
            Ok(()) if state.revoked.contains(&node) => Err(CertificateError::Revoked.into()),
            Ok(()) => Terms::of(end).map(Admitted::Member),
            Err(_) if side == Side::Client && state.invites(&node) => Ok(Admitted::Guest),
            Err(error) => Err(error),
        }
    }

    /// Waits until a peer with this chain, whose certificate ends at that time, is no member any more; says why.
    pub(crate) async fn expelled(
        &self,
        side: Side,
        chain: &[CertificateDer<'_>],
        ends: SystemTime,
    ) -> rustls::Error {
        let mut changes = self.0.changes.subscribe();
        loop {
            match self.judge(side, chain, UnixTime::now()) {
                Ok(Admitted::Member(_)) => {}
                Ok(Admitted::Guest) => return CertificateError::UnknownIssuer.into(),
                Err(error) => return error,
            }
            // A second more, since times in certificates have no fractions and theirs is still good at the end.
            let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(left + std::time::Duration::from_secs(1)) => {}
                // The sender is `self`.
                _ = changes.changed() => {}
            }
        }
    }

    pub(super) fn clients(&self) -> Arc<dyn ClientCertVerifier> {
        self.state().clients.clone()
    }

    pub(super) fn servers(&self) -> Arc<WebPkiServerVerifier> {
        self.state().servers.clone()
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.state().identity.certified().clone()
    }

    /// The certificate followed by those of the authorities, for whoever knows an authority by its hash alone.
    pub(super) fn certified_with_roots(&self) -> Arc<CertifiedKey> {
        self.state().identity.certified_with_roots().clone()
    }

    fn state(&self) -> Arc<State> {
        let state = self.0.state.read();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut held = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
            let mut state = State::clone(&held);
            change(&mut state);
            *held = Arc::new(state);
        }
        self.0.changes.send_replace(());
    }
}

impl State {
    fn invites(&self, key: &NodeId) -> bool {
        self.doorkeeper.as_ref().is_some_and(|it| it.invited(key))
    }
}

impl AdoptError {
    fn tls(error: rustls::Error) -> Self {
        Self::Tls {
            reason: error.to_string(),
        }
    }
}

/// Shows who and how many; no key.
impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Trust")
            .field("identity", &state.identity)
            .field("revoked", &state.revoked.len())
            .finish_non_exhaustive()
    }
}
