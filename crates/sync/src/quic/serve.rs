//! Beginning sessions, and answering those that peers begin.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::Connection;
use super::drive::{DriveError, Frames, blocking, drive};
use super::endpoint::{Arrival, Endpoint};
use super::lost::Lost;
use super::node_id::NodeId;
use super::stream::{FrameReader, FrameWriter, StreamError};
use crate::config::{Config, Request};
use crate::error::{Refusal, RefusalCode, SessionError};
use crate::frame::MAX_FRAME;
use crate::replica::Replica;
use crate::report::Report;
use crate::session::{Opening, Session};

/// The greatest first frame of a peer: a greeting whose range has the two longest bounds there are.
/// Sessions are counted from the greeting on, so what may be sent before it must be little.
const MAX_GREETING: usize = 1 << 20;

impl Connection {
    /// Syncs a replica with the peer's, over a stream of its own.
    ///
    /// `config` says which namespace; its node is replaced by the endpoint's own, its peer by who
    /// the certificate says is there. Any number of sessions may run at a time, over one connection or many, on one replica or many, while
    /// others write to it. Dropping the future ends the session; what was joined by then stays.
    ///
    /// ```no_run
    /// use std::time::SystemTime;
    /// use syncline_sync::quic::Connection;
    /// use syncline_sync::{Config, Replica, Report, Request};
    ///
    /// async fn heal<R: Replica + Send + 'static>(
    ///     replica: R,
    ///     connection: &Connection,
    ///     cluster: [u8; 16],
    ///     salt: [u8; 16],
    /// ) -> Result<Report, Box<dyn std::error::Error>> {
    ///     let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    ///     let node = *connection.node().as_bytes();
    ///     let config = Config::new(cluster, node, "app", clock.as_millis() as u64);
    ///     Ok(connection.sync(replica, config, Request::new(salt)).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DriveError`]. A peer that does not accept our certificate shows here, since a TLS 1.3
    /// client learns of it only after connecting: [`StreamError::Lost`] with
    /// [`Lost::RefusedByPeer`].
    pub async fn sync<R>(
        &self,
        replica: R,
        config: Config,
        request: Request,
    ) -> Result<Report, DriveError>
    where
        R: Replica + Send + 'static,
    {
        let begun = Instant::now();
        let limits = self.limits();
        let config = self.authenticated(config);
        self.check_grants(&config.namespace)?;
        let session = blocking(move || Session::initiate(replica, config, request)).await??;
        let (send, recv) = timeout(limits.stall, self.quinn.open_bi())
            .await
            .map_err(|_| StreamError::NoStream {
                seconds: limits.stall.as_secs(),
            })?
            .map_err(|error| StreamError::Lost(error.into()))?;
        let report = drive(session, self.frames(send, recv, MAX_FRAME)).await?;
        Ok(report.elapsed(millis(begun)))
    }

    /// Answers the sessions that the peer begins on this connection, all at once, until it is gone;
    /// says why it went.
    ///
    /// Sessions beyond [`Limits::sessions`](super::Limits::sessions) are told `busy`. Dropping the
    /// future drops the sessions.
    pub async fn serve<H: Host>(&self, host: Arc<H>) -> Lost {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                stream = self.quinn.accept_bi() => match stream {
                    Ok((send, recv)) => {
                        let frames = self.frames(send, recv, MAX_GREETING);
                        sessions.spawn(answer(self.clone(), host.clone(), frames));
                    }
                    // Sessions under way find out by themselves.
                    Err(error) => {
                        while let Some(ended) = sessions.join_next().await {
                            note(ended);
                        }
                        return error.into();
                    }
                },
                Some(ended) = sessions.join_next() => note(ended),
            }
        }
    }

    /// Begins no session that one of the two may not be in.
    fn check_grants(&self, namespace: &str) -> Result<(), SessionError> {
        let whose = match (self.peer_may_carry(namespace), self.may_carry(namespace)) {
            (true, true) => return Ok(()),
            (false, _) => "the peer's",
            (true, false) => "this node's",
        };
        let text = format!(
            "{whose} certificate does not name namespace {namespace:?}; invite the node anew with it"
        );
        Err(SessionError::Refusing(Refusal::new(
            RefusalCode::Namespace,
            text,
        )))
    }

    /// The configuration of a session between the two nodes that TLS has authenticated.
    fn authenticated(&self, mut config: Config) -> Config {
        config.node = *self.node().as_bytes();
        config.peer = Some(*self.peer().as_bytes());
        config
    }

    fn frames(&self, send: quinn::SendStream, recv: quinn::RecvStream, bound: usize) -> Frames {
        Frames {
            reader: FrameReader::new(recv, bound, self.limits().clone()),
            writer: FrameWriter::new(send, self.clone()),
        }
    }
}

/// Where a peer's sessions find their replicas.
///
/// A function from the namespace and the peer's identity is one:
///
/// ```
/// use std::sync::Arc;
/// use syncline_sync::quic::{Host, NodeId};
/// use syncline_sync::{Config, Replica};
///
/// fn host<R>(replica: Arc<R>, cluster: [u8; 16]) -> impl Host
/// where
///     R: Replica + Send + Sync + 'static,
/// {
///     move |namespace: &str, _peer: NodeId| {
///         // The driver fills in the node; the clock is read anew for each session.
///         let config = Config::new(cluster, [0; 32], namespace, 1_700_000_000_000);
///         (namespace == "app").then(|| (replica.clone(), config))
///     }
/// }
/// ```
pub trait Host: Send + Sync + 'static {
    /// What sessions work on. Most often an `Arc` of a store.
    type Replica: Replica + Send + 'static;

    /// The replica of a namespace, with the configuration of a session that begins now; `None`
    /// refuses the peer because the namespace is not carried here, or not for it. The
    /// configuration's node is replaced by the endpoint's own, its peer by `peer`.
    ///
    /// Called on a thread where blocking is allowed.
    fn open(&self, namespace: &str, peer: NodeId) -> Option<(Self::Replica, Config)>;

    /// Told of every session's end: `namespace` is empty when the peer did not come as far as
    /// naming one.
    fn ended(&self, namespace: &str, peer: NodeId, outcome: &Result<Report, DriveError>) {
        match outcome {
            Ok(report) => tracing::debug!(namespace, %peer, agreed = report.agreed, "served"),
            Err(error) => tracing::info!(namespace, %peer, %error, "a session failed"),
        }
    }
}

impl<F, R> Host for F
where
    F: Fn(&str, NodeId) -> Option<(R, Config)> + Send + Sync + 'static,
    R: Replica + Send + 'static,
{
    type Replica = R;

    fn open(&self, namespace: &str, peer: NodeId) -> Option<(R, Config)> {
        self(namespace, peer)
    }
}

impl Endpoint {
    /// Serves every peer that connects, until the endpoint is closed.
    ///
    /// Dropping the future drops all connections that came in through it, and the sessions on them.
    pub async fn serve<H: Host>(&self, host: Arc<H>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                incoming = self.accept() => {
                    let Some(incoming) = incoming else { break };
                    let host = host.clone();
                    connections.spawn(async move {
                        let from = incoming.remote_addr();
                        match incoming.established().await {
                            Ok(Arrival::Member(connection)) => {
                                let lost = connection.serve(host).await;
                                tracing::debug!(peer = %connection.peer(), %from, %lost, "disconnected");
                            }
                            Ok(Arrival::Petitioner(petition)) => {
                                if let Err(error) = petition.answer().await {
                                    tracing::info!(%from, %error, "a petition failed");
                                }
                            }
                            // The log has it.
                            Err(_) => {}
                        }
                    });
                }
                Some(ended) = connections.join_next() => note(ended),
            }
        }
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    }
}

/// A task's panic is the bug of a replica or host: it takes its session along and nobody else's,
/// and is not hidden.
fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session's task was cut down");
    }
}

async fn answer<H: Host>(connection: Connection, host: Arc<H>, frames: Frames) {
    let peer = connection.peer();
    let mut namespace = String::new();
    let begun = Instant::now();
    let outcome = respond(&connection, &host, frames, &mut namespace)
        .await
        .map(|report| report.elapsed(millis(begun)));
    host.ended(&namespace, peer, &outcome);
}

async fn respond<H: Host>(
    connection: &Connection,
    host: &Arc<H>,
    mut frames: Frames,
    namespace: &mut String,
) -> Result<Report, DriveError> {
    let opening = match greeting(&mut frames, connection).await {
        Ok(opening) => opening,
        Err(error) => return Err(turn_away(frames, error).await),
    };
    opening.namespace().clone_into(namespace);
    if !connection.may_carry(namespace) {
        // The peer is told no more than of a namespace that is not here.
        tracing::warn!(namespace, peer = %connection.peer(), "refused: a certificate does not name the namespace");
        let error = SessionError::Refusing(opening.unknown_namespace());
        return Err(turn_away(frames, error.into()).await);
    }
    // Held until the session is over.
    let Ok(_permit) = connection.shared.sessions.try_acquire() else {
        let error = SessionError::Refusing(opening.busy());
        return Err(turn_away(frames, error.into()).await);
    };
    let (host, answering) = (host.clone(), connection.clone());
    let session = blocking(
        move || match host.open(opening.namespace(), answering.peer()) {
            Some((replica, config)) => {
                Session::respond(replica, answering.authenticated(config), opening)
            }
            None => Err(SessionError::Refusing(opening.unknown_namespace())),
        },
    )
    .await?;
    match session {
        Ok(session) => drive(session, frames).await,
        Err(error) => Err(turn_away(frames, error.into()).await),
    }
}

/// The peer's first frame, which has to come in time.
async fn greeting(frames: &mut Frames, connection: &Connection) -> Result<Opening, DriveError> {
    let stall = connection.limits().stall;
    let frame = timeout(stall, frames.reader.next())
        .await
        .map_err(|_| DriveError::Silent {
            seconds: stall.as_secs(),
        })??
        .ok_or(DriveError::EndedEarly)?;
    frames.reader.accept_up_to(MAX_FRAME);
    Ok(Opening::read(&frame)?)
}

/// Tells the peer why it is turned away, where there is a reason to tell.
async fn turn_away(frames: Frames, error: DriveError) -> DriveError {
    if let Some(reason) = error.farewell() {
        frames.refuse(reason).await;
    }
    error
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
