//! What clients send, cut into requests: the same ones however it arrives, and those that another decoder finds. The fuzz target `requests`
//! and a test run the same.
//!
//! The judge is the `redis-protocol` crate, where both accept: Redis takes lines typed by hand, and refuses what the library would take.

use bytes::BytesMut;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use syncline_server::{Parser, ProtocolError};

use crate::rng::{Bytes, Choices};

/// Small, so that limits are met.
const MAX_ARGUMENT: usize = 1 << 10;
const MAX_REQUEST: usize = 4 << 10;

type Found = Vec<Vec<Vec<u8>>>;

/// Cuts what the bytes stand for. Panics where one way of doing it comes to something else than another.
pub fn requests(data: &[u8]) {
    let mut choices = Bytes::new(data);
    let is_trusted = choices.chance(90);
    let step = 1 + choices.below(40);
    let stream = choices.take(data.len());

    let (whole, error) = parse(stream, stream.len().max(1), is_trusted);
    let parts = parse(stream, step, is_trusted);
    assert_eq!((&whole, error), (&parts.0, parts.1), "in steps of {step}");
    for request in &whole {
        assert!(!request.is_empty());
        let size: usize = request.iter().map(Vec::len).sum();
        assert!(size <= MAX_REQUEST, "{size} bytes");
    }

    if stream.first() == Some(&b'*')
        && let Ok(Some((frame, _))) = decode(stream)
        && let Some(theirs) = arguments(frame)
        && let Some(ours) = whole.first()
    {
        assert_eq!(*ours, theirs);
    }
}

/// What is found in a stream that arrives in so many bytes at a time.
fn parse(stream: &[u8], step: usize, is_trusted: bool) -> (Found, Option<ProtocolError>) {
    let mut parser = Parser::new(MAX_ARGUMENT, MAX_REQUEST);
    let (mut buffer, mut found) = (BytesMut::new(), Found::new());
    for part in stream.chunks(step) {
        buffer.extend_from_slice(part);
        loop {
            match parser.next(&mut buffer, is_trusted) {
                Ok(Some(request)) => found.push(request.from(0).map(<[u8]>::to_vec).collect()),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(
            buffer.capacity() <= 2 * stream.len() + (128 << 10),
            "nobody gets memory by a promise"
        );
    }
    (found, None)
}

/// The arguments of a request, if the frame is one that is not empty.
fn arguments(frame: OwnedFrame) -> Option<Vec<Vec<u8>>> {
    let OwnedFrame::Array(items) = frame else {
        return None;
    };
    let bulk = |item| match item {
        OwnedFrame::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    let items: Option<Vec<_>> = items.into_iter().map(bulk).collect();
    items.filter(|items| !items.is_empty())
}
