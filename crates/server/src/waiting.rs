//! Clients that wait for something. Their connections listen to them meanwhile: who leaves waits no more, and what is asked for behind is kept.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::client::Unblock;
use crate::connection::{IDLE, received, send};
use crate::lines::Place;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::server::Shared;
use crate::session::Session;

/// What a client waits for, left by a command that has nothing to answer yet.
pub(crate) struct Waiting {
    place: Place,
    /// Until when; for ever where there is none.
    until: Option<Instant>,
    wanted: Box<dyn Wanted>,
    /// Whether it was woken and has not yet looked.
    is_woken: bool,
}

/// What a client wants under keys that it waits for.
pub(crate) trait Wanted: Send + Sync {
    /// Takes it from the keys at these places, if it is there. To be waited for to the end: what was taken and is not answered is lost.
    fn take(&self, places: Vec<usize>) -> Taken<'_>;
}

/// What was taken, as a reply.
pub(crate) type Taken<'w> =
    Pin<Box<dyn Future<Output = Result<Option<Reply>, Refusal>> + Send + 'w>>;

impl Waiting {
    /// For ever where there is no time, or none that a clock can tell.
    pub(crate) fn new(place: Place, time: Option<Duration>, wanted: Box<dyn Wanted>) -> Self {
        Self {
            place,
            until: time.and_then(|time| Instant::now().checked_add(time)),
            wanted,
            is_woken: false,
        }
    }

    /// Waits until there may be something. Nothing is lost when the future is dropped.
    async fn turn(&mut self, server: &Shared) {
        if !self.is_woken {
            self.place.woken().await;
            self.is_woken = true;
        }
        // While clients are paused, nothing is taken.
        server.clients.turn(true).await;
    }

    async fn take(&mut self) -> Result<Option<Reply>, Refusal> {
        self.is_woken = false;
        match self.place.turns() {
            turns if turns.is_empty() => Ok(None),
            turns => self.wanted.take(turns).await,
        }
    }
}

async fn passed(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// Waits for a client; whether the connection goes on. Then `out` has the reply, and `buffer` what the client has sent meanwhile.
pub(crate) async fn wait(
    mut waiting: Waiting,
    session: &mut Session,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut BytesMut,
    out: &mut Vec<u8>,
    closed: &mut watch::Receiver<bool>,
) -> io::Result<bool> {
    let (client, server) = (session.client.clone(), session.server.clone());
    let until = waiting.until;
    let mut blocked = client.block();
    let reply = loop {
        session.deliver(out);
        if !send(stream, session, out).await? {
            return Ok(false);
        }
        if buffer.len() == buffer.capacity() {
            buffer.reserve(IDLE);
        }
        tokio::select! {
            () = waiting.turn(&server) => {}
            () = passed(until) => break Reply::NullArray,
            how = blocked.unblocked() => break match how {
                Unblock::AsIfOver => Reply::NullArray,
                Unblock::WithError => Refusal::UNBLOCKED.reply(),
            },
            read = stream.read_buf(buffer) => {
                let goes_on = received(session, read?);
                if !goes_on || buffer.len() > server.settings.max_request() {
                    return Ok(false);
                }
                continue;
            }
            () = client.mail.arrival() => continue,
            () = client.ended.notified() => return Ok(false),
            _ = closed.wait_for(|closing| *closing) => return Ok(false),
        }
        // Not given up in the middle, whatever happens.
        match waiting.take().await {
            Ok(None) => {}
            Ok(Some(reply)) => break reply,
            Err(refusal) => break refusal.reply(),
        }
    };
    session.answer(&reply, out);
    Ok(true)
}

/// Waits for something in the midst of a command, unless another client ends the wait or the connection; nothing where the wait is to end as if its
/// time were over.
pub(crate) async fn unless_ended<T>(
    session: &mut Session,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Refusal> {
    let client = session.client.clone();
    let mut blocked = client.block();
    tokio::select! {
        done = work => Ok(Some(done)),
        how = blocked.unblocked() => match how {
            Unblock::AsIfOver => Ok(None),
            Unblock::WithError => Err(Refusal::UNBLOCKED),
        },
        () = client.ended.notified() => {
            session.is_ending = true;
            Err("ERR the connection is closed by another client".into())
        }
    }
}
