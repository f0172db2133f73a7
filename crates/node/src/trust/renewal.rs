//! Keeps a running node a member: takes over what changes in its files, renews its certificate before that ends, warns
//! where it cannot.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Weak;
use std::time::{Duration, Instant, SystemTime};

use rcgen::KeyPair;
use syncline_sync::quic::{Endpoint, Identity, Limits};

use super::authority::{CertificateRequest, request};
use super::enrolment::{Answer, Ask, Papers, Refusal, decode, encode};
use super::error::TrustError;
use super::fields::Fields;
use super::files::read;
use super::join::{ENROLMENT, take_over};
use super::state::TrustState;
use super::{KEY, Membership};
use crate::core::Core;
use crate::data_dir::{IDENTITY, OWN};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long after a try to renew that failed the next one follows, give or take half of it.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// How often a certificate that ends soon is warned of.
const WARN: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a certificate was not renewed; the one that there is goes on being used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The identity lies nowhere, so there is nothing to renew.
    #[error("the node's identity is kept in memory alone; issue it anew")]
    Nowhere,
    /// The node does not know where to ask.
    #[error(
        "the node did not enrol over the network, so it does not know where to ask; issue another identity, or join by an invitation"
    )]
    NobodyToAsk,
    /// Nobody was reached who decides.
    #[error(
        "nobody who decides was reached ({reason}); see to it that a node with the authority runs there"
    )]
    Unreachable {
        /// What was tried, and what came of it.
        reason: String,
    },
    /// It was turned down.
    #[error("the renewal was turned down: {0}")]
    Refused(#[source] Refusal),
    /// The files of the identity, or what came, are of no use.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Runs until the node is gone.
pub(crate) async fn keep_trust(core: Weak<Core>) {
    let mut next_try = Instant::now();
    let mut next_warning = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(core) = core.upgrade() else { return };
        if core.is_refusing() {
            return;
        }
        let looking = core.clone();
        let looked = tokio::task::spawn_blocking(move || looking.trust.reload()).await;
        match looked {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if Instant::now() >= next_warning => {
                next_warning = Instant::now() + WARN;
                tracing::error!(%error, "what has changed of the identity cannot be taken over");
            }
            // Said before; or the runtime ends.
            Ok(Err(_)) | Err(_) => {}
        }
        if Instant::now() >= next_try && core.trust.renewal_is_due() {
            next_try = Instant::now() + AGAIN.mul_f64(0.5 + rand::random::<f64>());
            if let Err(error) = core.renew_certificate().await {
                if matches!(error, RenewError::Nowhere | RenewError::NobodyToAsk) {
                    next_try = Instant::now() + WARN;
                }
                tracing::warn!(%error, "the certificate was not renewed, which will be tried again");
            }
        }
        let status = core.trust.status();
        if status.expires_soon && Instant::now() >= next_warning {
            next_warning = Instant::now() + WARN;
            let left = status.expires_at.duration_since(SystemTime::now());
            let days = left.unwrap_or_default().as_secs() / (24 * 60 * 60);
            let reason = status.renewal.as_deref();
            tracing::warn!(
                days,
                reason,
                "the node's certificate ends soon; without one, no peer lets it in"
            );
        }
        core.forget_the_gone().await;
    }
}

/// Renews the certificate of the node in a data directory, which may be running: it goes by the new one within seconds. Returns when that ends.
///
/// # Errors
/// [`RenewError`]; the certificate that there is goes on being used.
pub async fn renew_certificate(data: impl AsRef<Path>) -> Result<SystemTime, RenewError> {
    let home = data.as_ref().join(IDENTITY);
    let membership = Membership::load(home.join(OWN))?;
    let state = TrustState::new(&membership, Some(&home), None)?;
    let bind = |address: SocketAddr| Endpoint::bind_with(address, state.trust(), Limits::default());
    let endpoint = bind((Ipv6Addr::UNSPECIFIED, 0).into())
        .or_else(|_| bind((Ipv4Addr::UNSPECIFIED, 0).into()))
        .map_err(|error| RenewError::Unreachable {
            reason: error.to_string(),
        })?;
    let outcome = state.renew(&endpoint).await;
    endpoint.close().await;
    outcome?;
    Ok(state.status().expires_at)
}

impl Core {
    /// Has the certificate renewed over the same key, and goes by it.
    pub(crate) async fn renew_certificate(&self) -> Result<(), RenewError> {
        let endpoint = self.dialler().map_err(|error| RenewError::Unreachable {
            reason: error.to_string(),
        })?;
        let outcome = self.trust.renew(&endpoint).await;
        let noted = outcome.as_ref().map(|_| ()).map_err(ToString::to_string);
        self.trust.note_renewal(noted);
        outcome
    }
}

impl TrustState {
    async fn renew(&self, endpoint: &Endpoint) -> Result<(), RenewError> {
        let directory = self.directory().ok_or(RenewError::Nowhere)?;
        let path = directory.join(KEY);
        let key = KeyPair::from_pem(&read(&path)?).map_err(|error| TrustError::Damaged {
            path,
            reason: error.to_string(),
        })?;
        let csr = request(&key)?;
        let papers = match self.office() {
            Ok(office) => {
                let grant = self.trust().identity().grant().clone();
                let request = CertificateRequest::read(&csr, grant);
                let request = request.ok_or(RenewError::Refused(Refusal::Malformed))?;
                office.issue(&request, None)?
            }
            Err(_) => ask(directory, endpoint, &encode(&Ask::Renew(csr))).await?,
        };
        // Nothing is put in place that would not do.
        Identity::from_pem(
            &papers.certificate,
            &key.serialize_pem(),
            &papers.authorities,
        )
        .map_err(TrustError::from)?;
        take_over(directory, &papers)?;
        self.learn(&papers.notices)?;
        self.reload()?;
        Ok(())
    }
}

/// Asks at each address that the node has enrolled by.
async fn ask(directory: &Path, endpoint: &Endpoint, ask: &[u8]) -> Result<Papers, RenewError> {
    let fields = match read(&directory.join(ENROLMENT)) {
        Err(TrustError::Missing { .. }) => return Err(RenewError::NobodyToAsk),
        text => Fields::parse(&text?),
    };
    let mut tried = Vec::new();
    for address in fields.all("authority") {
        let found = match tokio::net::lookup_host(address).await {
            Ok(found) => found.collect::<Vec<_>>(),
            Err(error) => {
                tried.push(format!("{address}: {error}"));
                continue;
            }
        };
        for there in found {
            let answer = endpoint.petition(there, ask).await;
            match answer.map(|bytes| decode(&bytes)) {
                Ok(Some(Answer::Renewed(papers))) => return Ok(papers),
                Ok(Some(Answer::Refused(refusal))) => return Err(RenewError::Refused(refusal)),
                Ok(Some(Answer::Joined(_)) | None) => {
                    tried.push(format!("{address}: the answer makes no sense"));
                }
                Err(error) => tried.push(error.to_string()),
            }
        }
    }
    match tried.is_empty() {
        true => Err(RenewError::NobodyToAsk),
        false => Err(RenewError::Unreachable {
            reason: tried.join("; "),
        }),
    }
}
