//! The listener, and what all connections share.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use syncline::{Namespace, Node, Space};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::client::Clients;
use crate::connection;
use crate::cursors::Cursors;
use crate::databases;
use crate::keyspace;
use crate::lines::Lines;
use crate::meter::Meter;
use crate::notes::Events;
use crate::pubsub::{self, PubSub};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::tls::{Tls, TlsError, TlsFiles};

/// Databases that there are.
pub(crate) const DATABASES: u8 = 16;
/// The database whose carriers are told of publications: channels are no database's, and this one every server carries.
pub(crate) const CHANNELS: u8 = 0;
/// How long an end waits for replies under way.
const GRACE: Duration = Duration::from_secs(1);

/// How clients are to be served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where to listen.
    pub address: SocketAddr,
    /// Whether that may be another address than loopback without a password.
    pub exposed: bool,
    /// What clients have to say first.
    pub password: Option<String>,
    /// By what they are spoken to in TLS; `None` for plain TCP.
    pub tls: Option<TlsFiles>,
    /// Clients at a time.
    pub max_clients: usize,
    /// Longest request in bytes, all told.
    pub max_request: usize,
    /// The version of the program, to be shown.
    pub version: &'static str,
}

impl Options {
    /// Those usual at an address: no password, no TLS, 10,000 clients, requests of 1 GiB.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            exposed: false,
            password: None,
            tls: None,
            max_clients: 10_000,
            max_request: 1 << 30,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Why clients are not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Others could reach it, there is no password, and nobody said that they may.
    #[error(
        "the Redis face asks for no password and for no certificate, and {address} may be reached by others; ask for one, use a loopback address, or say that it may be exposed"
    )]
    Exposed {
        /// The address asked for.
        address: SocketAddr,
    },
    /// TLS is wanted and cannot be had.
    #[error("the Redis face has no TLS: {0}")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error(
        "the Redis face cannot listen on {address} ({source}); choose another address or port, or stop what uses it"
    )]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ServerError {
    /// Whether another process has the address.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) node: Node,
    pub(crate) settings: Settings,
    pub(crate) clients: Clients,
    pub(crate) stats: Stats,
    pub(crate) events: Events,
    pub(crate) cursors: Cursors,
    pub(crate) lines: Lines,
    pub(crate) pubsub: PubSub,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) address: SocketAddr,
    pub(crate) version: &'static str,
    /// When all was last made durable because a client asked for it, in seconds since 1970.
    pub(crate) last_save: AtomicU64,
    /// Whether that is being done, and nobody waits for it.
    pub(crate) is_saving: AtomicBool,
    pub(crate) began: Instant,
    /// Told when a client asks for the end of the process.
    pub(crate) ending: Notify,
}

impl Shared {
    /// The namespace of a database.
    pub(crate) fn namespace(&self, database: u8) -> Result<Namespace, Refusal> {
        let name = database_name(database);
        self.node
            .namespace(&name)
            .map_err(|error| Refusal::from(format!("ERR {error}")))
    }
}

impl Shared {
    /// Has what depends on settings follow them.
    pub(crate) fn settings_changed(&self) {
        let most = self.settings.number("slowlog-max-len");
        let slower_than = self.settings.number("slowlog-log-slower-than");
        let most = usize::try_from(most).unwrap_or(0);
        self.stats.slow.set(slower_than, most);
        self.events.want(keyspace::classes(&self.settings));
        self.pubsub.look_again();
    }

    /// Has all subscribers told, and says how many of them are here.
    pub(crate) fn publish(
        &self,
        is_sharded: bool,
        channel: &Bytes,
        payload: &Bytes,
    ) -> Result<usize, Refusal> {
        let space = match is_sharded {
            true => Space::Shards,
            false => Space::Channels,
        };
        let channels = self.namespace(CHANNELS)?;
        let published = channels.publish(space, channel, payload);
        published.map_err(|error| format!("ERR {error}"))?;
        let limit = self.settings.pubsub_limit();
        Ok(self.pubsub.publish(is_sharded, channel, payload, limit))
    }
}

/// Since 1970.
pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// The namespace of a database.
pub(crate) fn database_name(database: u8) -> String {
    format!("db{database}")
}

/// A node that clients are served from; no more once this is dropped.
pub struct Server {
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// What goes on beside, and ends with it.
    _followers: JoinSet<()>,
}

impl Server {
    /// Serves clients, on the tokio runtime of the caller.
    ///
    /// # Errors
    /// [`ServerError`], whose text says what to do.
    pub async fn start(node: Node, options: Options) -> Result<Self, ServerError> {
        let wanted = options.address;
        let asks_for_certificates =
            matches!(&options.tls, Some(files) if files.client_authorities.is_some());
        let is_guarded = options.password.is_some() || asks_for_certificates;
        if !wanted.ip().is_loopback() && !options.exposed && !is_guarded {
            return Err(ServerError::Exposed { address: wanted });
        }
        let unbound = |source| ServerError::Bind {
            address: wanted,
            source,
        };
        let mut followers = JoinSet::new();
        let tls = match options.tls.clone() {
            Some(files) => {
                let (tls, followed) = Tls::new(files).await?;
                let tls = Arc::new(tls);
                followers.spawn(tls.clone().follow(followed));
                Some(tls)
            }
            None => None,
        };
        let listener = TcpListener::bind(wanted).await.map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        let settings = Settings::new(&options, address.port(), node.data_dir());
        let shared = Arc::new(Shared {
            node,
            settings,
            clients: Clients::default(),
            stats: Stats::default(),
            pubsub: PubSub::default(),
            events: Events::default(),
            cursors: Cursors::default(),
            lines: Lines::default(),
            tls,
            address,
            version: options.version,
            last_save: AtomicU64::new(unix_seconds()),
            is_saving: AtomicBool::new(false),
            began: Instant::now(),
            ending: Notify::new(),
        });
        keyspace::publish(&shared);
        let (closing, closed) = watch::channel(false);
        followers.spawn(databases::follow(shared.node.clone()));
        if let Ok(channels) = shared.namespace(CHANNELS) {
            followers.spawn(pubsub::hear(shared.clone(), channels.publications()));
        }
        followers.spawn(keyspace::follow(shared.clone()));
        followers.spawn(end_idle(shared.clone()));
        let task = tokio::spawn(listen(listener, shared.clone(), closed));
        Ok(Self {
            shared,
            closing,
            task,
            _followers: followers,
        })
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Serves one client that has come in another way: by a Unix socket, say, or a pipe. Ends when it leaves, is told to, or the server ends.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let node = syncline::Node::in_memory().await?;
    /// let options = syncline_server::Options::new(([127, 0, 0, 1], 0).into());
    /// let server = syncline_server::Server::start(node, options).await?;
    /// let (mut ours, theirs) = tokio::io::duplex(1024);
    /// let talk = async {
    ///     ours.write_all(b"PING\r\n").await?;
    ///     let mut reply = [0; 7];
    ///     ours.read_exact(&mut reply).await?;
    ///     drop(ours);
    ///     Ok::<_, std::io::Error>(reply)
    /// };
    /// let (_, reply) = tokio::join!(server.serve(theirs), talk);
    /// assert_eq!(&reply?, b"+PONG\r\n");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let here = self.local_addr();
        match Guest::admit(&self.shared, here, here) {
            Some(mut guest) => guest.serve(stream, self.closing.subscribe()).await,
            None => connection::turn_away(stream).await,
        }
    }

    /// What tells how many clients there are, and what they do.
    pub fn meter(&self) -> Meter {
        Meter::new(&self.shared)
    }

    /// Waits until a client asks for the end of the process (`SHUTDOWN`). That is for who runs the process to see to.
    pub async fn asked_to_end(&self) {
        self.shared.ending.notified().await;
    }

    /// Ends it. Replies under way have a second.
    pub async fn stop(mut self) {
        // With no receiver left there is nobody to be told.
        let _nobody = self.closing.send(true);
        if timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}

/// Disconnects who has asked for nothing for too long, if there is such a limit.
async fn end_idle(shared: Arc<Shared>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let longest = shared.settings.timeout();
        if longest.is_zero() {
            continue;
        }
        for client in shared.clients.all() {
            // Who has subscribed, or waits for something, waits for others.
            let waits = client.subscriptions() > 0 || client.is_blocked();
            if !waits && client.idle() > longest {
                client.end();
            }
        }
    }
}

/// Lets clients in until it is closed, and waits for those that are there. Dropped, it ends them.
async fn listen(listener: TcpListener, shared: Arc<Shared>, mut closed: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next() => continue,
            _ = closed.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (shared, closed) = (shared.clone(), closed.clone());
                connections.spawn(welcome(stream, peer, shared, closed));
            }
            Err(error) => {
                tracing::warn!(%error, "a client cannot be let in");
                // Of what there is too little, files mostly, there will not be more at once.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn welcome(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut closed: watch::Receiver<bool>,
) {
    let local = stream.local_addr().unwrap_or(shared.address);
    let Some(mut guest) = Guest::admit(&shared, peer, local) else {
        // By TLS it would not be understood before a handshake, which is not worth it.
        if shared.tls.is_none() {
            connection::turn_away(stream).await;
        }
        return;
    };
    // Replies go out as they are: nothing would be gained by waiting for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "replies may be delayed");
    }
    let Some(tls) = shared.tls.clone() else {
        return guest.serve(stream, closed).await;
    };
    // In a box: whoever needs no TLS should not have to keep room for it.
    let greeted = Box::pin(async {
        tokio::select! {
            greeted = tls.accept(stream) => greeted,
            _ = closed.wait_for(|closing| *closing) => Err(io::ErrorKind::Interrupted.into()),
        }
    });
    match greeted.await {
        Ok(stream) => Box::pin(guest.serve(stream, closed)).await,
        Err(error) => tracing::debug!(%peer, %error, "a client has not finished the handshake"),
    }
}

/// A client that has been let in. It is out when this is dropped.
struct Guest(Session);

impl Guest {
    /// `None` where there are too many.
    fn admit(shared: &Arc<Shared>, peer: SocketAddr, local: SocketAddr) -> Option<Self> {
        let most = shared.settings.max_clients();
        let stats = &shared.stats;
        let Some(client) = shared.clients.admit(peer, local, most) else {
            stats.refused_connections.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        stats.connections.fetch_add(1, Ordering::Relaxed);
        Some(Self(Session::new(shared.clone(), client)))
    }

    async fn serve(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        closed: watch::Receiver<bool>,
    ) {
        if let Err(error) = connection::serve(stream, &mut self.0, closed).await {
            tracing::debug!(client = self.0.client.id, %error, "a client is gone");
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Session { server, client, .. } = &self.0;
        server.clients.leave(client.id);
        if client.mail.is_lost() {
            server.stats.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.0.leave_channels();
    }
}
