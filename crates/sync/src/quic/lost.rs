//! Why a connection was never made, or is there no more.

use std::net::SocketAddr;

use quinn::{ConnectionError, TransportErrorCode};
use rustls::AlertDescription;

use crate::error::printable;

/// The end of a connection, in terms of what its user can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The peer ended the handshake: it does not accept our certificate, or speaks another
    /// protocol.
    ///
    /// In TLS 1.3 a client has finished its handshake before the server has looked at its
    /// certificate, so this may come from a connection that seemed established.
    #[error("the peer refused us in the handshake ({alert}): {}", remedy(*.alert, Side::Theirs))]
    RefusedByPeer {
        /// The TLS alert that the peer sent.
        alert: Alert,
    },
    /// We ended the handshake, for the same kind of reason.
    #[error("we refused the peer in the handshake ({alert}; {reason}): {}", remedy(*.alert, Side::Ours))]
    RefusedByUs {
        /// The TLS alert that we sent.
        alert: Alert,
        /// What was wrong, as our TLS library puts it.
        reason: String,
    },
    /// The peer has as many connections as it allows.
    #[error("the peer takes no more connections now; try again later, or raise its limit")]
    Busy,
    /// Nothing was heard for as long as the limits allow.
    #[error(
        "the peer fell silent; check that it runs, and that UDP passes both ways between the machines"
    )]
    Silent,
    /// The peer no longer knows the connection; most likely it was restarted.
    #[error(
        "the peer does not know this connection any more (it was probably restarted); connect again"
    )]
    Reset,
    /// The peer's application closed the connection.
    #[error("the peer closed the connection ({reason}); connect again when it is back")]
    ClosedByPeer {
        /// The reason it gave.
        reason: String,
    },
    /// Our side closed the connection.
    #[error("this side closed the connection")]
    ClosedHere,
    /// The two QUIC implementations do not get along.
    #[error("the transport failed ({reason}); check that both sides run compatible versions")]
    Transport {
        /// What the transport said.
        reason: String,
    },
}

/// Reasons may be a peer's words, even a stranger's. A packet bounds them.
impl From<ConnectionError> for Lost {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionClosed(close) => {
                if close.error_code == TransportErrorCode::CONNECTION_REFUSED {
                    return Self::Busy;
                }
                match Alert::of(close.error_code) {
                    Some(alert) => Self::RefusedByPeer { alert },
                    None => Self::Transport {
                        reason: printable(&close.to_string()),
                    },
                }
            }
            ConnectionError::TransportError(error) => match Alert::of(error.code) {
                Some(alert) => Self::RefusedByUs {
                    alert,
                    reason: printable(&error.reason),
                },
                None => Self::Transport {
                    reason: printable(&error.to_string()),
                },
            },
            ConnectionError::ApplicationClosed(close) => Self::ClosedByPeer {
                reason: match close.reason.as_ref() {
                    [] => "it gave no reason".to_owned(),
                    text => printable(&String::from_utf8_lossy(text)),
                },
            },
            ConnectionError::TimedOut => Self::Silent,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::LocallyClosed => Self::ClosedHere,
            ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => Self::Transport {
                reason: error.to_string(),
            },
        }
    }
}

/// A TLS alert: the one byte by which a side says why it ends a handshake (RFC 8446, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(pub u8);

impl Alert {
    /// QUIC carries alert `a` as transport error `0x100 + a` (RFC 9001, section 4.8).
    fn of(code: TransportErrorCode) -> Option<Self> {
        let code = u64::from(code);
        let alert = code.checked_sub(0x100)?;
        u8::try_from(alert).ok().map(Self)
    }
}

/// The name that TLS gives it, such as `UnknownCA`.
impl core::fmt::Display for Alert {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match AlertDescription::from(self.0) {
            AlertDescription::Unknown(code) => write!(f, "TLS alert {code}"),
            known => write!(f, "TLS alert {known:?}"),
        }
    }
}

/// Whose certificate or protocol an alert is about.
#[derive(Clone, Copy)]
enum Side {
    /// The peer refused, so it is ours.
    Theirs,
    /// We refused, so it is the peer's.
    Ours,
}

fn remedy(alert: Alert, refuser: Side) -> &'static str {
    use AlertDescription as A;
    match (AlertDescription::from(alert.0), refuser) {
        (A::CertificateRequired, Side::Theirs) => {
            "it requires a certificate of its cluster; use an identity issued for it"
        }
        (A::CertificateRequired, Side::Ours) => {
            "it showed no certificate; it is no node of this cluster"
        }
        (
            A::UnknownCA | A::DecryptError | A::BadCertificate | A::CertificateUnknown,
            Side::Theirs,
        ) => {
            "our certificate is not of its cluster; use an identity issued by that cluster's authority"
        }
        (
            A::UnknownCA | A::DecryptError | A::BadCertificate | A::CertificateUnknown,
            Side::Ours,
        ) => "its certificate is not of our cluster; check the address, or issue it an identity",
        (A::CertificateExpired, Side::Theirs) => {
            "our certificate is not valid at its time; issue a new identity, or correct a clock"
        }
        (A::CertificateExpired, Side::Ours) => {
            "its certificate is not valid at our time; issue it a new identity, or correct a clock"
        }
        (A::CertificateRevoked | A::AccessDenied, _) => "the node was shut out of the cluster",
        (A::NoApplicationProtocol, _) => {
            "the two sides share no version of the protocol; bring them to compatible versions"
        }
        _ => "check that both sides belong to one cluster and run compatible versions",
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be reached from this endpoint: port 0, or IPv6 from an IPv4 socket.
    #[error(
        "{address} cannot be reached from this endpoint ({reason}); check the address, and that the endpoint listens on the same family"
    )]
    Address {
        /// Where the connection should have gone.
        address: SocketAddr,
        /// What is wrong.
        reason: String,
    },
    /// The endpoint was closed.
    #[error("the endpoint is closed; bind a new one")]
    Closed,
    /// Nobody answered in time.
    #[error(
        "no answer from {address} within {seconds} s; check that a node listens there, and that UDP passes both ways"
    )]
    NoAnswer {
        /// Where the connection should have gone.
        address: SocketAddr,
        /// How long we waited.
        seconds: u64,
    },
    /// The handshake failed.
    #[error("no connection with {address}: {lost}")]
    Handshake {
        /// The other end.
        address: SocketAddr,
        /// Why.
        #[source]
        lost: Lost,
    },
}

impl ConnectError {
    /// Whether we refused somebody who was a member once: its certificate has ended, or it was revoked.
    pub(crate) fn was_member(&self) -> bool {
        let Self::Handshake {
            lost: Lost::RefusedByUs { alert, .. },
            ..
        } = self
        else {
            return false;
        };
        matches!(
            AlertDescription::from(alert.0),
            AlertDescription::CertificateExpired | AlertDescription::CertificateRevoked
        )
    }
}

/// Why an endpoint did not come to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken, not ours, or not allowed.
    #[error(
        "cannot listen on {address} ({source}); choose another address or port, or stop what uses it"
    )]
    Address {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The identity cannot be used for TLS.
    #[error("the identity cannot be used for TLS ({reason}); issue a new one")]
    Tls {
        /// What the TLS library said.
        reason: String,
    },
}

impl BindError {
    pub(crate) fn tls(error: rustls::Error) -> Self {
        Self::Tls {
            reason: error.to_string(),
        }
    }
}
