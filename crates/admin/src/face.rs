//! The listener and its routes.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use syncline::{Error, Node};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bounded::Bounded;
use crate::metrics::{self, Measures};
use crate::report::Readiness;
use crate::{agreement, backup, collect, dashboard, detail, events, history};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Those of them that may follow the events, so that there is always one to ask how the node is.
const READERS: usize = 32;
/// How long an end waits for answers under way.
const GRACE: Duration = Duration::from_secs(1);

/// How a node is to be shown.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub address: SocketAddr,
    /// Whether that may be another address than loopback.
    pub exposed: bool,
    /// The data directory, to be shown. If it is there, the key to what the face does lies in it, as long as it is there.
    pub data: PathBuf,
    /// The version of the program, to be shown.
    pub version: &'static str,
}

/// Why a node is not shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Others could reach it, and nobody said that they may.
    #[error(
        "the admin face has no password, and {address} may be reached by others; use a loopback address, or say that it may be exposed"
    )]
    Exposed {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The key cannot be left in the data directory.
    #[error(
        "the key of the admin face cannot be written ({0}); see to the permissions of the data directory"
    )]
    Key(#[source] io::Error),
    /// The address cannot be listened on.
    #[error(
        "the admin face cannot listen on {address} ({source}); choose another address or port, or stop what uses it"
    )]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

impl AdminError {
    /// Whether another process has the address.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A node as it is shown; no more once this is dropped.
pub struct Admin {
    address: SocketAddr,
    shown: Arc<Shown>,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
    looking: JoinHandle<()>,
}

/// What the routes share.
pub(crate) struct Shown {
    pub(crate) node: Node,
    pub(crate) options: Options,
    pub(crate) began: Instant,
    /// Readers of the event stream that there may still be.
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) closing: watch::Receiver<bool>,
    /// To what not everybody may ask for.
    pub(crate) key: Option<backup::Key>,
    draining: AtomicBool,
    measuring: Mutex<Vec<Arc<dyn Measures>>>,
    pub(crate) past: history::Past,
    /// Whether only this machine is answered, to which keys and values may be shown.
    pub(crate) is_loopback: bool,
}

impl Shown {
    /// What besides the node has metrics.
    pub(crate) fn measuring(&self) -> Vec<Arc<dyn Measures>> {
        let measuring = self.measuring.lock();
        // It is only ever pushed to.
        measuring.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Admin {
    /// Shows a node, on the tokio runtime of the caller.
    ///
    /// # Errors
    /// [`AdminError`], whose text says what to do.
    pub async fn start(node: Node, options: Options) -> Result<Self, AdminError> {
        let wanted = options.address;
        if !wanted.ip().is_loopback() && !options.exposed {
            return Err(AdminError::Exposed { address: wanted });
        }
        let unbound = |source| AdminError::Bind {
            address: wanted,
            source,
        };
        let listener = TcpListener::bind(wanted).await.map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        let (closing, closed) = watch::channel(false);
        let key = match options.data.is_dir() {
            true => Some(backup::Key::leave(&options.data, address).map_err(AdminError::Key)?),
            false => None,
        };
        let shown = Arc::new(Shown {
            key,
            node,
            options,
            began: Instant::now(),
            readers: Arc::new(Semaphore::new(READERS)),
            closing: closed.clone(),
            draining: AtomicBool::new(false),
            measuring: Mutex::default(),
            past: history::Past::default(),
            is_loopback: address.ip().is_loopback(),
        });
        let looking = history::begin(&shown);
        let router = routes(shown.clone());
        let task = tokio::spawn(serve(listener, router, closed));
        Ok(Self {
            address,
            shown,
            closing,
            task,
            looking,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Shows the metrics of something else beside those of the node, from now on.
    pub fn also_measure(&self, what: Arc<dyn Measures>) {
        let measuring = self.shown.measuring.lock();
        measuring.unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Says from now on that the node is about to end: it is not ready any more.
    pub fn drain(&self) {
        self.shown.draining.store(true, Ordering::Relaxed);
    }

    /// Ends it. Answers under way have a second.
    pub async fn stop(mut self) {
        // With no receiver left there is nobody to be told.
        let _nobody = self.closing.send(true);
        if timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.looking.abort();
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, router: Router, mut closed: watch::Receiver<bool>) {
    let ended = async move {
        // Dropped is as good as told.
        drop(closed.wait_for(|closing| *closing).await);
    };
    let listener = Bounded::new(listener, CONNECTIONS);
    let served = axum::serve(listener, router).with_graceful_shutdown(ended);
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin face has ended");
    }
}

fn routes(shown: Arc<Shown>) -> Router {
    let is_loopback = shown.is_loopback;
    let routes = dashboard::routes()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/v1/status", get(status))
        .route("/v1/peers", get(peers))
        .route("/v1/topology", get(topology))
        .route("/v1/convergence", get(convergence))
        .route("/v1/sessions", get(detail::sessions))
        .route("/v1/ranges", get(detail::ranges))
        .route("/v1/conflicts", get(detail::conflicts))
        .route("/v1/history", get(history::history))
        .route("/metrics", get(metrics::scrape))
        .route("/v1/events", get(events::stream))
        .route("/v1/backup", post(backup::run))
        .with_state(shown);
    match is_loopback {
        true => routes.layer(from_fn(of_this_machine)),
        false => routes,
    }
}

/// Refuses requests for a name. A browser asks for one when a page has made its name stand for this machine.
async fn of_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if name == "localhost" || bare.parse::<IpAddr>().is_ok() {
        return next.run(request).await;
    }
    let refused = "ask for this by its address, or as localhost\n";
    (StatusCode::MISDIRECTED_REQUEST, refused).into_response()
}

pub(crate) type Shared = State<Arc<Shown>>;

async fn readiness(State(shown): Shared) -> Response {
    let mut reasons = Vec::new();
    if shown.draining.load(Ordering::Relaxed) {
        reasons.push("the node is about to end".to_owned());
    }
    reasons.extend(collect::unreadable(&shown.node).await);
    let ready = reasons.is_empty();
    let code = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(Readiness { ready, reasons })).into_response()
}

/// What was asked for, or that the node has ended meanwhile.
pub(crate) fn answer(told: Result<impl Serialize, Error>) -> Response {
    match told {
        Ok(told) => Json(told).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn status(State(shown): Shared) -> Response {
    answer(collect::status(&shown).await)
}

async fn peers(State(shown): Shared) -> Response {
    answer(collect::peers(&shown.node).await)
}

async fn topology(State(shown): Shared) -> Response {
    answer(collect::topology(&shown.node).await)
}

async fn convergence(State(shown): Shared) -> Response {
    answer(agreement::convergence(&shown.node).await)
}
