//! The bounds an endpoint holds its peers to, and what they come to in quinn's terms.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

use super::pacer::Pacer;

/// What an endpoint grants its peers in memory and patience. Start from [`Limits::default`].
///
/// Any member of the cluster could be broken, so nothing that peers do can take more than this: in
/// the transport `2 × connections × connection_window`, and in each session six frames. A frame is
/// about 256 KiB, and never more than [`MAX_FRAME`](crate::frame::MAX_FRAME), which only a peer
/// that sends the greatest rows comes near.
///
/// ```
/// use std::time::Duration;
/// use syncline_sync::quic::Limits;
///
/// let mut limits = Limits::default();
/// limits.stall = Duration::from_secs(10);
/// limits.sessions = 8;
/// # let _ = limits;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions served at one time by the whole endpoint; a peer that asks for one more is told
    /// `busy`. Sessions that we begin ourselves are not counted. Default 32.
    pub sessions: usize,
    /// Connections open at one time, handshakes included; one more is refused before any
    /// cryptography. Default 256.
    pub connections: usize,
    /// Sessions that one connection may have open at a time in each direction; a peer's further
    /// ones wait. Default 16.
    pub streams_per_connection: u32,
    /// Bytes that a peer may send on one stream ahead of our reading them: what a broken bootstrap
    /// has sent in vain, and what bounds its pace on long lines. Default 512 KiB, which is about as
    /// much as a replica joins within 40 ms; raise it where round trips are longer.
    pub stream_window: u32,
    /// Bytes that may be under way on one connection, all its streams together, each direction for
    /// itself. Default 16 MiB.
    pub connection_window: u32,
    /// How long a session waits for a peer that makes no progress, neither sending nor taking what
    /// we send, before it is cut. It must exceed the time a busy peer needs to store a few frames.
    /// Default 60 s.
    pub stall: Duration,
    /// The slowest a frame under way may be, in bytes per second, beyond [`Limits::stall`]: a peer
    /// that sends or takes a byte now and then, so that it is never quite silent, is cut too.
    /// Default 16 KiB/s.
    pub slowest: u32,
    /// Silence after which a connection is taken for dead. Default 20 s.
    pub idle: Duration,
    /// How often a connection with nothing to say shows that it lives; must be well under
    /// [`Limits::idle`] of both sides. Default 5 s.
    pub keep_alive: Duration,
    /// How long connecting may take, the handshake included. Default 10 s.
    pub connect: Duration,
    /// Decides when sessions may send. Default nobody: they send as fast as their peers take it.
    pub pacer: Option<Arc<dyn Pacer>>,
}

/// Channels that a peer may have open at a time.
const CHANNELS: u32 = 4;
/// Bytes of datagrams that wait to be sent, or taken; beyond it, the oldest go.
pub(super) const DATAGRAMS: usize = 256 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 32,
            connections: 256,
            streams_per_connection: 16,
            stream_window: 512 << 10,
            connection_window: 16 << 20,
            stall: Duration::from_secs(60),
            slowest: 16 << 10,
            idle: Duration::from_secs(20),
            keep_alive: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            pacer: None,
        }
    }
}

impl Limits {
    /// The time a frame of `length` bytes may take from its first byte to its last.
    pub(crate) fn frame_time(&self, length: usize) -> Duration {
        let seconds = length as u64 / u64::from(self.slowest.max(1));
        self.stall + Duration::from_secs(seconds)
    }

    /// A session is one bidirectional stream; gossip is datagrams and a few channels.
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        // Milliseconds beyond QUIC's 62 bits mean no limit at all, which is not on offer here.
        let idle = IdleTimeout::try_from(self.idle).unwrap_or(IdleTimeout::from(VarInt::MAX));
        config
            .max_concurrent_bidi_streams(self.streams_per_connection.into())
            .max_concurrent_uni_streams(CHANNELS.into())
            .datagram_receive_buffer_size(Some(DATAGRAMS))
            .datagram_send_buffer_size(DATAGRAMS)
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.connection_window.into())
            .send_window(self.connection_window.into())
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.keep_alive));
        Arc::new(config)
    }
}
