//! The loop that moves frames between a session and a stream. It decides nothing about the
//! protocol.
//!
//! ```text
//!  stream ─▶ pump ─▶ inbox ─▶ session and replica, on a blocking thread ─▶ outbox ─▶ pump ─▶ stream
//! ```
//!
//! All of it is one future, so that dropping it ends everything at once: the streams are reset, and
//! the replica keeps what was committed. A step that was under way on its thread ends by itself; it
//! is one commit, or some more of a removal of a range.
//!
//! Both queues hold one frame, beside the one in each pump and the one in the session's hands. The
//! session is asked for a frame only when there is room for one, which is the back-pressure on its
//! reading of the store. While the outbox is full, frames are still taken from the inbox: two sides
//! that both stream rows cannot wait for each other's reading.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connection::Connection;
use super::stream::{Arrivals, FrameReader, FrameWriter, StreamError};
use crate::error::{Refusal, RefusalCode, SessionError};
use crate::frame::refusal;
use crate::replica::Replica;
use crate::report::Report;
use crate::session::Session;

/// Frames read ahead of the session.
const INBOX: usize = 1;
/// Frames ready ahead of the stream.
const OUTBOX: usize = 1;
/// How long a peer that is being turned away has to take the reason.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a session over a connection did not end well. What it had stored until then stays, and is
/// sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The two sides did not agree on a session, or the replica failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The stream or the connection under the session failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer neither sent nor took anything for as long as the limits allow.
    #[error(
        "the peer made no progress for {seconds} s and was cut; it hangs, or needs a longer stall limit"
    )]
    Silent {
        /// How long we waited.
        seconds: u64,
    },
    /// The peer ended its stream although the session was not over.
    #[error("the peer ended the session early; its log says why")]
    EndedEarly,
    /// The peer went on after the session was over.
    #[error(
        "the peer sent more after the end of the session; it runs other software, or is broken"
    )]
    Trailing,
    /// The runtime shuts down.
    #[error("the session was dropped because this process shuts down")]
    ShuttingDown,
}

impl DriveError {
    /// The refusal that ended the session, if one did: by the peer's decision, or by ours.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Session(SessionError::Refused(refusal) | SessionError::Refusing(refusal)) => {
                Some(refusal)
            }
            _ => None,
        }
    }

    /// What the peer should be told, if it can still be told anything.
    pub(crate) fn farewell(&self) -> Option<Refusal> {
        let code = match self {
            Self::Session(error) => return error.farewell(),
            Self::Stream(StreamError::Oversized { .. }) => RefusalCode::FrameTooLarge,
            Self::Trailing => RefusalCode::Malformed,
            Self::Stream(_) | Self::Silent { .. } | Self::EndedEarly | Self::ShuttingDown => {
                return None;
            }
        };
        Some(Refusal::new(code, self.to_string()))
    }
}

/// The two halves of a session's stream.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) reader: FrameReader,
    pub(crate) writer: FrameWriter,
}

impl Frames {
    /// Turns the peer away with a reason, as far as it takes it.
    pub(crate) async fn refuse(mut self, reason: Refusal) {
        let told = timeout(FAREWELL, async {
            self.writer.write(&refusal(reason)).await?;
            self.writer.finish();
            Ok::<_, StreamError>(())
        });
        if !matches!(told.await, Ok(Ok(()))) {
            tracing::debug!("the peer was gone before it could be told why");
        }
    }
}

/// Runs a session to its end.
///
/// It ends well when the session is over here and the peer has ended its stream, which it does when
/// the session is over there. So it lacks nothing that we sent, and both know the outcome.
pub(crate) async fn drive<R>(session: Session<R>, frames: Frames) -> Result<Report, DriveError>
where
    R: Replica + Send + 'static,
{
    let Frames { reader, writer } = frames;
    let (arrivals, connection) = (reader.arrivals(), writer.connection().clone());
    let (to_inbox, frames_in) = mpsc::channel(INBOX);
    let (outbox, from_outbox) = mpsc::channel(OUTBOX);
    let (to_written, written) = oneshot::channel();

    let pumps = async {
        let out = async {
            // Nobody waits for the outcome when the conversation is over already.
            let _unwanted = to_written.send(pump_out(writer, from_outbox).await);
        };
        tokio::join!(pump_in(reader, to_inbox), out);
        pending::<Infallible>().await
    };
    let conversation = async {
        let mut inbox = Inbox {
            frames: frames_in,
            ended: false,
            arrivals,
            connection,
        };
        let mut outbox = Outbox {
            frames: outbox,
            written,
            broken: None,
        };
        match converse(session, &mut inbox, &mut outbox).await {
            Ok(session) => {
                let report = session.report();
                // A session in progress holds back what its replica may say of itself. This one has said all it will,
                // however long the peer takes to end it, and before the peer knows that it has.
                drop(session);
                conclude(&mut inbox, outbox).await?;
                Ok(report)
            }
            Err(error) => {
                if let Some(reason) = error.farewell() {
                    bid_farewell(outbox, reason).await;
                }
                Err(error)
            }
        }
    };
    tokio::select! {
        outcome = conversation => outcome,
        never = pumps => match never {},
    }
}

/// Reads frames until the stream ends or fails; the last thing in the inbox is the failure, if
/// there was one.
async fn pump_in(mut reader: FrameReader, inbox: mpsc::Sender<Result<Vec<u8>, StreamError>>) {
    while let Some(frame) = reader.next().await.transpose() {
        let failed = frame.is_err();
        if inbox.send(frame).await.is_err() || failed {
            return;
        }
    }
}

/// Writes frames until there are no more, and ends the stream.
async fn pump_out(
    mut writer: FrameWriter,
    mut outbox: mpsc::Receiver<Vec<u8>>,
) -> Result<(), StreamError> {
    while let Some(frame) = outbox.recv().await {
        writer.write(&frame).await?;
    }
    writer.finish();
    Ok(())
}

/// What comes from the peer, with an eye on whether anything moves.
struct Inbox {
    frames: mpsc::Receiver<Result<Vec<u8>, StreamError>>,
    /// Whether the peer has ended its stream.
    ended: bool,
    arrivals: Arrivals,
    connection: Connection,
}

impl Inbox {
    /// The next frame, or `None` once the peer has ended its stream. Fails when nothing comes, not
    /// even a part of a frame, and nothing goes, for as long as the limits allow. Cancellation
    /// safe; each call starts the clock anew.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, DriveError> {
        let stall = self.connection.limits().stall;
        loop {
            let before = self.progress();
            match timeout(stall, self.frames.recv()).await {
                Ok(frame) => {
                    self.ended = frame.is_none();
                    return Ok(frame.transpose()?);
                }
                Err(_) if self.progress() != before => {}
                Err(_) => {
                    let seconds = stall.as_secs();
                    return Err(DriveError::Silent { seconds });
                }
            }
        }
    }

    /// Changes as long as the peer sends, or takes what waits in the transport: on a slow line,
    /// megabytes that were written long ago may still be on their way. A peer that reads nothing
    /// grants no room, and this stands still.
    fn progress(&self) -> (u64, u64) {
        (self.arrivals.count(), self.connection.stream_frames_sent())
    }
}

/// The way to the peer.
struct Outbox {
    frames: mpsc::Sender<Vec<u8>>,
    /// What became of the writing, once it is over.
    written: oneshot::Receiver<Result<(), StreamError>>,
    /// Set when writing failed. The peer may still have something to say, such as why.
    broken: Option<StreamError>,
}

impl Outbox {
    /// Room for one frame; `None` when writing has failed just now, and never anything after that.
    /// Cancellation safe.
    async fn room(&self) -> Option<OwnedPermit<Vec<u8>>> {
        match self.broken {
            None => self.frames.clone().reserve_owned().await.ok(),
            Some(_) => pending().await,
        }
    }

    fn room_now(&self) -> Option<OwnedPermit<Vec<u8>>> {
        self.frames.clone().try_reserve_owned().ok()
    }

    /// Finds out why there is no room any more.
    async fn broke(&mut self) -> StreamError {
        let error = match (&mut self.written).await {
            Ok(Err(error)) => error,
            // Without a failure the pump ends only after the last frame, and it lives as long as
            // the conversation.
            Ok(Ok(())) | Err(_) => StreamError::Abandoned,
        };
        self.broken = Some(error.clone());
        error
    }

    /// Ends the frames, and waits until the transport has taken them all.
    async fn end(self) -> Result<(), StreamError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        drop(self.frames);
        self.written.await.unwrap_or(Err(StreamError::Abandoned))
    }
}

/// Takes in a frame, if there is one, and makes one, if there is room for it.
fn step<R: Replica>(
    session: &mut Session<R>,
    frame: Option<&[u8]>,
    room: bool,
) -> Result<Option<Vec<u8>>, SessionError> {
    if let Some(frame) = frame {
        session.handle_frame(frame)?;
    }
    match room {
        true => session.poll_frame(),
        false => Ok(None),
    }
}

/// Moves frames until the session is over and has nothing more to send.
async fn converse<R>(
    mut session: Session<R>,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
) -> Result<Session<R>, DriveError>
where
    R: Replica + Send + 'static,
{
    // Whether the session may have a frame to send, as far as we know without asking.
    let mut may_send = true;
    while may_send || !session.is_finished() {
        let (frame, permit) = tokio::select! {
            room = outbox.room(), if may_send => match room {
                Some(permit) => (None, Some(permit)),
                None => {
                    let error = outbox.broke().await;
                    if matches!(error, StreamError::Stalled { .. }) {
                        return Err(error.into());
                    }
                    continue;
                }
            },
            // A peer that is done may end its stream before we have looked at what is left to do
            // here.
            frame = inbox.next(), if !inbox.ended || !may_send || outbox.broken.is_some() => match frame? {
                Some(frame) => (Some(frame), outbox.room_now()),
                None if may_send && outbox.broken.is_none() => continue,
                None => return Err(match outbox.broken.take() {
                    Some(error) => error.into(),
                    None => DriveError::EndedEarly,
                }),
            },
        };
        let room = permit.is_some();
        let (back, made) = blocking(move || {
            let made = step(&mut session, frame.as_deref(), room);
            (session, made)
        })
        .await?;
        session = back;
        match (permit, made?) {
            (Some(permit), Some(frame)) => {
                let _outbox = permit.send(frame);
                may_send = true;
            }
            // Asked, and it had none; or a frame came in and it was not asked.
            (permit, _) => may_send = permit.is_none(),
        }
    }
    Ok(session)
}

/// Ends our stream and waits for the end of the peer's.
async fn conclude(inbox: &mut Inbox, outbox: Outbox) -> Result<(), DriveError> {
    let ours = async { outbox.end().await.map_err(DriveError::from) };
    let theirs = async {
        match inbox.next().await? {
            None => Ok(()),
            Some(_) => Err(DriveError::Trailing),
        }
    };
    tokio::try_join!(ours, theirs)?;
    Ok(())
}

/// Tells the peer why the session ends, as far as it takes it.
async fn bid_farewell(outbox: Outbox, reason: Refusal) {
    let told = timeout(FAREWELL, async {
        // A queue that is closed is reported by the end below.
        let _closed = outbox.frames.send(refusal(reason)).await;
        outbox.end().await
    });
    if !matches!(told.await, Ok(Ok(()))) {
        tracing::debug!("the peer was gone before it could be told why");
    }
}

/// Runs something that reads or writes the store where it may take its time.
pub(crate) async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DriveError> {
    match spawn_blocking(step).await {
        Ok(done) => Ok(done),
        // A panic in a replica is its own bug; it goes on to whoever awaits the session.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(DriveError::ShuttingDown),
        },
    }
}
