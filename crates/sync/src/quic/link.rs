//! A long, breakable wire on one machine: forwards UDP datagrams with a delay, and can be cut.
//!
//! For demonstrations, benchmarks and tests. It knows nothing of QUIC or of sessions: datagrams go
//! in at one end and come out at the other, later, in order, or not at all.
//!
//! ```text
//!   dialler ──▶ listening socket ──▶ delay queue ──▶ one socket per dialler ──▶ target
//!           ◀──                  ◀── delay queue ◀──                        ◀──
//! ```

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Datagrams that may be under way in each direction of one dialler's flow. At the size of QUIC's
/// packets this is 12 MiB, more than a connection's flow control lets out; like a router, a full
/// queue drops what comes.
const QUEUE: usize = 8192;

/// Diallers served at a time; for one more, that which was silent for longest is forgotten.
const FLOWS: usize = 64;

/// The greatest UDP payload.
const LARGEST: usize = 65_535;

/// A user-space wire between whoever sends to [`Forwarder::local_addr`] and a target, on the
/// loopback interface.
///
/// Each direction delays every datagram by the same time, so order is kept; timers are accurate to
/// about a millisecond, so a delay is up to that much longer than asked. The socket buffers of the
/// operating system may drop datagrams under load, as networks do. Dropping the forwarder tears the
/// wire down.
///
/// ```
/// use std::time::Duration;
/// use syncline_sync::quic::Forwarder;
/// use tokio::net::UdpSocket;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let there = UdpSocket::bind("127.0.0.1:0").await?;
/// let wire = Forwarder::start(there.local_addr()?, Duration::from_millis(5)).await?;
/// let here = UdpSocket::bind("127.0.0.1:0").await?;
/// here.send_to(b"hello", wire.local_addr()).await?;
///
/// let mut buffer = [0; 16];
/// let (length, from) = there.recv_from(&mut buffer).await?;
/// assert_eq!(&buffer[..length], b"hello");
/// // The answer goes back the same way.
/// there.send_to(b"well met", from).await?;
/// assert_eq!(here.recv(&mut buffer).await?, 8);
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    wire: Arc<Wire>,
    /// Aborts the tasks when dropped.
    _tasks: JoinSet<()>,
}

/// What the forwarder's tasks share.
#[derive(Debug)]
struct Wire {
    one_way: Duration,
    cut: AtomicBool,
    forwarded: AtomicU64,
    dropped: AtomicU64,
}

/// What a [`Forwarder`] has done so far, both directions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Datagrams handed on.
    pub forwarded: u64,
    /// Datagrams dropped: the wire was cut, a queue was full, or the socket refused them.
    pub dropped: u64,
}

impl Forwarder {
    /// Begins to forward between a free port on 127.0.0.1 and `target`, each way with a delay of
    /// `one_way`: half of the round-trip time that is to be had.
    ///
    /// # Errors
    /// What the operating system says when no socket is to be had.
    pub async fn start(target: SocketAddr, one_way: Duration) -> io::Result<Self> {
        let listening = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = listening.local_addr()?;
        let wire = Arc::new(Wire {
            one_way,
            cut: AtomicBool::new(false),
            forwarded: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listening, target, wire.clone()));
        Ok(Self {
            address,
            wire,
            _tasks: tasks,
        })
    }

    /// Where to send, to reach the target through the wire.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the wire: every datagram is dropped, those already under way too, and neither end is
    /// told.
    pub fn cut(&self) {
        self.wire.cut.store(true, Ordering::Relaxed);
    }

    /// Joins the wire again.
    pub fn restore(&self) {
        self.wire.cut.store(false, Ordering::Relaxed);
    }

    /// What has been done so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            forwarded: self.wire.forwarded.load(Ordering::Relaxed),
            dropped: self.wire.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Wire {
    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    fn lost(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A receive error is that of an earlier datagram which found nobody listening. Somebody may
    /// come (back) there, so the wire goes on; the pause keeps an error that persists from taking a
    /// processor.
    async fn hiccup(&self) {
        self.lost();
        sleep(Duration::from_millis(1)).await;
    }
}

/// A datagram and the instant at which it comes out at the other end.
struct Delayed {
    due: Instant,
    datagram: Box<[u8]>,
}

/// One dialler's way to the target and back.
struct Flow {
    out: mpsc::Sender<Delayed>,
    last_used: Instant,
    /// Aborts the flow's tasks when dropped.
    _tasks: JoinSet<()>,
}

/// Receives from the diallers; a new one gets a flow of its own, so that the target can tell them
/// apart.
async fn listen(listening: Arc<UdpSocket>, target: SocketAddr, wire: Arc<Wire>) {
    let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut buffer = vec![0; LARGEST];
    loop {
        let Ok((length, from)) = listening.recv_from(&mut buffer).await else {
            wire.hiccup().await;
            continue;
        };
        if !flows.contains_key(&from) {
            if flows.len() == FLOWS {
                forget_oldest(&mut flows);
            }
            match Flow::open(&listening, from, target, &wire).await {
                Ok(flow) => {
                    flows.insert(from, flow);
                }
                Err(error) => tracing::warn!(%error, "no socket for another flow"),
            }
        }
        match flows.get_mut(&from) {
            Some(flow) => {
                flow.last_used = Instant::now();
                enqueue(&flow.out, &buffer[..length], &wire);
            }
            None => wire.lost(),
        }
    }
}

fn forget_oldest(flows: &mut HashMap<SocketAddr, Flow>) {
    let oldest = flows
        .iter()
        .min_by_key(|(_, flow)| flow.last_used)
        .map(|(address, _)| *address);
    if let Some(address) = oldest {
        flows.remove(&address);
    }
}

impl Flow {
    async fn open(
        listening: &Arc<UdpSocket>,
        dialler: SocketAddr,
        target: SocketAddr,
        wire: &Arc<Wire>,
    ) -> io::Result<Self> {
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let towards = Arc::new(UdpSocket::bind(any).await?);
        towards.connect(target).await?;

        let (out, out_queue) = mpsc::channel(QUEUE);
        let (back, back_queue) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(deliver(out_queue, towards.clone(), None, wire.clone()));
        tasks.spawn(deliver(
            back_queue,
            listening.clone(),
            Some(dialler),
            wire.clone(),
        ));
        tasks.spawn(collect(towards, back, wire.clone()));
        Ok(Self {
            out,
            last_used: Instant::now(),
            _tasks: tasks,
        })
    }
}

/// Receives what the target answers one dialler.
async fn collect(towards: Arc<UdpSocket>, back: mpsc::Sender<Delayed>, wire: Arc<Wire>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        match towards.recv(&mut buffer).await {
            Ok(length) => enqueue(&back, &buffer[..length], &wire),
            Err(_) => wire.hiccup().await,
        }
    }
}

fn enqueue(queue: &mpsc::Sender<Delayed>, datagram: &[u8], wire: &Wire) {
    let delayed = Delayed {
        due: Instant::now() + wire.one_way,
        datagram: datagram.into(),
    };
    if wire.is_cut() || queue.try_send(delayed).is_err() {
        wire.lost();
    }
}

/// One end of the wire: hands datagrams on when they are due, in the order they came.
async fn deliver(
    mut queue: mpsc::Receiver<Delayed>,
    socket: Arc<UdpSocket>,
    to: Option<SocketAddr>,
    wire: Arc<Wire>,
) {
    while let Some(Delayed { due, datagram }) = queue.recv().await {
        if due > Instant::now() {
            sleep_until(due).await;
        }
        if wire.is_cut() {
            wire.lost();
            continue;
        }
        let sent = match to {
            Some(address) => socket.send_to(&datagram, address).await,
            None => socket.send(&datagram).await,
        };
        match sent {
            Ok(_) => wire.forwarded.fetch_add(1, Ordering::Relaxed),
            Err(_) => wire.dropped.fetch_add(1, Ordering::Relaxed),
        };
    }
}
