//! What passes between two nodes beside sessions: datagrams, and channels of frames in one direction.
//!
//! Gossip travels by them. A datagram is lost or comes, once, in whatever order; what is said on a channel
//! comes whole and in order, or the channel ends. What the bytes mean is not known here.

use quinn::SendDatagramError;
use tokio::time::timeout;

use super::connection::Connection;
use super::limits::DATAGRAMS;
use super::lost::Lost;
use super::stream::{FrameReader, FrameWriter, StreamError};

/// Why a datagram did not go out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// It is larger than what the path takes, or the peer takes none.
    #[error("a datagram of {length} bytes is too large for the path; send it on a channel")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// The connection is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// The sending end of a channel. The peer sees a channel whose end is dropped as given up.
#[derive(Debug)]
pub struct Outlet(FrameWriter);

impl Outlet {
    /// Sends a frame; waits while the peer takes no more.
    ///
    /// # Errors
    /// [`StreamError`]; then the channel is of no use any more.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), StreamError> {
        self.0.write(frame).await
    }
}

/// The receiving end of a channel.
#[derive(Debug)]
pub struct Inlet(FrameReader);

impl Inlet {
    /// The next frame; `None` where the peer ended the channel. Not cancellation safe.
    ///
    /// # Errors
    /// [`StreamError`], among others for a frame beyond the bound; then the channel is of no use any
    /// more.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        self.0.next().await
    }
}

impl Connection {
    /// Sends bytes that may get lost. Never waits: when more is sent than the path takes, the oldest go.
    ///
    /// # Errors
    /// [`DatagramError`].
    pub fn send_datagram(&self, bytes: Vec<u8>) -> Result<(), DatagramError> {
        let length = bytes.len();
        self.quinn
            .send_datagram(bytes.into())
            .map_err(|error| match error {
                SendDatagramError::ConnectionLost(error) => DatagramError::Lost(error.into()),
                SendDatagramError::UnsupportedByPeer
                | SendDatagramError::Disabled
                | SendDatagramError::TooLarge => DatagramError::TooLarge { length },
            })
    }

    /// Whether a datagram of this length can go out, as far as is known of the path.
    pub fn takes_datagram(&self, length: usize) -> bool {
        let most = self.quinn.max_datagram_size();
        most.is_some_and(|most| length <= most)
    }

    /// Whether all datagrams that were sent have gone out of the socket.
    pub fn has_sent_datagrams(&self) -> bool {
        self.is_closed() || self.quinn.datagram_send_buffer_space() >= DATAGRAMS
    }

    /// The next datagram of the peer's. Cancellation safe.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn datagram(&self) -> Result<Vec<u8>, Lost> {
        Ok(self.quinn.read_datagram().await?.into())
    }

    /// Opens a channel to the peer, who has yet to take it.
    ///
    /// # Errors
    /// [`StreamError::NoStream`] when the peer has as many as it takes.
    pub async fn open_channel(&self) -> Result<Outlet, StreamError> {
        let stall = self.limits().stall;
        let stream = timeout(stall, self.quinn.open_uni())
            .await
            .map_err(|_| StreamError::NoStream {
                seconds: stall.as_secs(),
            })?
            .map_err(|error| StreamError::Lost(error.into()))?;
        Ok(Outlet(FrameWriter::new(stream, self.clone()).unpaced()))
    }

    /// The next channel that the peer opens, of frames of at most `bound` bytes. Cancellation safe.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn accept_channel(&self, bound: usize) -> Result<Inlet, Lost> {
        let stream = self.quinn.accept_uni().await?;
        let reader = FrameReader::new(stream, bound, self.limits().clone());
        Ok(Inlet(reader))
    }
}
