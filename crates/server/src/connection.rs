//! One client's connection: what it sends becomes requests, and replies go back.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::execute::{REPLIES, execute};
use crate::request::Parser;
use crate::session::Session;
use crate::waiting::wait;

/// What a client that says nothing takes: room for a short request. Thousands of them wait.
pub(crate) const IDLE: usize = 512;
/// What is read at a time from one that says a lot.
const BUSY: usize = 64 * 1024;
/// Requests taken from what was read before they are executed.
const BATCH: usize = 1024;

/// Serves a client until it leaves, is told to, or the server ends.
pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    session: &mut Session,
    mut closed: watch::Receiver<bool>,
) -> io::Result<()> {
    let (client, server) = (session.client.clone(), session.server.clone());
    let mut parser = Parser::new(
        server.settings.max_argument(),
        server.settings.max_request(),
    );
    let (mut buffer, mut requests, mut out) = (BytesMut::new(), VecDeque::new(), Vec::new());
    let mut failed = None;
    loop {
        while failed.is_none() && requests.len() < BATCH {
            match parser.next(&mut buffer, session.is_trusted) {
                Ok(Some(request)) => requests.push_back(request),
                Ok(None) => break,
                Err(error) => failed = Some(error),
            }
            // What follows the password is judged by whether it was right.
            if !session.is_trusted {
                break;
            }
        }
        let mut may_be_more =
            requests.len() == BATCH || (!session.is_trusted && !requests.is_empty());
        execute(session, &mut requests, &mut out).await;
        if let Some(waiting) = session.waiting.take() {
            let (buffer, out) = (&mut buffer, &mut out);
            // In a box: who does not wait should not have to keep room for it.
            let over = Box::pin(wait(
                waiting,
                session,
                &mut stream,
                buffer,
                out,
                &mut closed,
            ));
            if !over.await? {
                return Ok(());
            }
            // Perhaps it has come meanwhile.
            may_be_more = true;
        }
        session.deliver(&mut out);
        let are_left = !requests.is_empty() && !session.is_ending;
        if let Some(error) = failed
            && !are_left
            && !session.is_ending
        {
            let text = format!("-ERR Protocol error: {error}\r\n");
            out.extend_from_slice(text.as_bytes());
            session.is_ending = true;
        }
        let is_turn_of_replies =
            are_left || !may_be_more || out.len() >= REPLIES || session.is_ending;
        if is_turn_of_replies && !send(&mut stream, session, &mut out).await? {
            return Ok(());
        }
        if session.is_ending {
            return stream.shutdown().await;
        }
        if are_left || may_be_more {
            continue;
        }
        if buffer.is_empty() {
            // Nothing is kept for who says nothing.
            (buffer, out) = (BytesMut::new(), Vec::new());
            buffer.reserve(IDLE);
        } else if buffer.capacity() - buffer.len() < BUSY / 4 {
            buffer.reserve(BUSY);
        }
        let read = tokio::select! {
            read = stream.read_buf(&mut buffer) => read?,
            () = client.mail.arrival() => continue,
            () = client.ended.notified() => return Ok(()),
            _ = closed.wait_for(|closing| *closing) => return Ok(()),
        };
        if !received(session, read) {
            return Ok(());
        }
        if buffer.len() == buffer.capacity() {
            // There is probably more of it.
            buffer.reserve(BUSY);
        }
    }
}

/// Sends what there is to be sent; `false` if the client is to be disconnected.
pub(crate) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    session: &Session,
    out: &mut Vec<u8>,
) -> io::Result<bool> {
    if out.is_empty() {
        return Ok(true);
    }
    let bytes_out = &session.server.stats.bytes_out;
    bytes_out.fetch_add(out.len() as u64, Ordering::Relaxed);
    let mut left = &out[..];
    let sent = async {
        stream.write_all_buf(&mut left).await?;
        // What is encrypted is held back where the socket is full.
        stream.flush().await
    };
    tokio::select! {
        sent = sent => sent?,
        () = session.client.ended.notified() => return Ok(false),
    }
    out.clear();
    out.shrink_to(REPLIES);
    Ok(true)
}

/// Counts what was read; `false` at the end of what the client sends.
pub(crate) fn received(session: &Session, read: usize) -> bool {
    let bytes_in = &session.server.stats.bytes_in;
    bytes_in.fetch_add(read as u64, Ordering::Relaxed);
    read > 0
}

/// Tells one for whom there is no place.
pub(crate) async fn turn_away(mut stream: impl AsyncWrite + Unpin) {
    let told = stream
        .write_all(b"-ERR max number of clients reached\r\n")
        .await;
    if let Err(error) = told {
        tracing::debug!(%error, "a client that is turned away does not listen");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{BufStream, duplex};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn replies_that_a_stream_holds_back_are_sent() {
        let (mut session, _server) = crate::execute::tests::session().await;
        let (ours, mut theirs) = duplex(1024);
        let (_closing, closed) = watch::channel(false);
        let serving = serve(BufStream::new(ours), &mut session, closed);
        let asking = async {
            for _ in 0..2 {
                theirs.write_all(b"PING\r\n").await?;
                let mut reply = [0; 7];
                theirs.read_exact(&mut reply).await?;
                assert_eq!(reply, *b"+PONG\r\n");
            }
            drop(theirs);
            Ok(())
        };
        let both = timeout(Duration::from_secs(20), async {
            tokio::join!(serving, asking)
        });
        let (served, asked) = both.await.expect("all is answered");
        served.and::<()>(asked).unwrap();
    }
}
