//! Replies and requests, as another implementation of the protocol reads and writes them.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use redis_protocol::resp2::types::OwnedFrame as Old;
use redis_protocol::resp3::types::OwnedFrame as New;
use redis_protocol::{resp2, resp3};
use syncline_server::{Parser, Protocol, Reply};

/// Any reply that is one frame.
fn reply() -> impl Strategy<Value = Reply> {
    let text = || "[ -~]{0,20}";
    let bytes = || vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        // As errors are told apart by it, no word begins as one.
        "[A-Z]{1,10}".prop_map(|text| Reply::Simple(text.into())),
        "ERR [ -~]{0,20}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::bulk),
        text().prop_map(Reply::Verbatim),
        Just(Reply::Null),
        Just(Reply::NullArray),
        any::<bool>().prop_map(Reply::Bool),
        any::<i32>().prop_map(|n| Reply::double(f64::from(n) / 8.0)),
        Just(Reply::double(f64::INFINITY)),
        Just(Reply::double(f64::NEG_INFINITY)),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        // What a map or a set is told apart by.
        let named = |replies: Vec<Reply>| -> Vec<(Reply, Reply)> {
            let name = |n: usize| Reply::bulk(n.to_string());
            replies
                .into_iter()
                .enumerate()
                .map(|(n, reply)| (name(n), reply))
                .collect()
        };
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Reply::Array),
            vec(inner.clone(), 0..6).prop_map(move |replies| Reply::Map(named(replies))),
            vec(inner, 0..6).prop_map(move |replies| Reply::Pairs(named(replies))),
            (0..6usize)
                .prop_map(|n| Reply::Set((0..n).map(|n| Reply::Integer(n as i64)).collect())),
        ]
    })
}

fn flat(pairs: &[(Reply, Reply)]) -> impl Iterator<Item = &Reply> {
    pairs.iter().flat_map(|(first, second)| [first, second])
}

fn old(reply: &Reply) -> Old {
    let all = |items: &mut dyn Iterator<Item = &Reply>| Old::Array(items.map(old).collect());
    match reply {
        Reply::Simple(text) => Old::SimpleString(text.as_bytes().to_vec()),
        Reply::Error(text) => Old::Error(text.to_string()),
        Reply::Integer(number) => Old::Integer(*number),
        Reply::Bulk(bytes) => Old::BulkString(bytes.to_vec()),
        Reply::Verbatim(text) | Reply::Double(text) => Old::BulkString(text.clone().into_bytes()),
        Reply::Null | Reply::NullArray => Old::Null,
        Reply::Bool(yes) => Old::Integer(i64::from(*yes)),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => all(&mut items.iter()),
        Reply::Map(pairs) | Reply::Pairs(pairs) => all(&mut flat(pairs)),
        other => panic!("{other:?} is not one frame"),
    }
}

fn new(reply: &Reply) -> New {
    let attributes = None;
    let array = |data| New::Array {
        data,
        attributes: None,
    };
    match reply {
        Reply::Simple(text) => New::SimpleString {
            data: text.as_bytes().to_vec(),
            attributes,
        },
        Reply::Error(text) => New::SimpleError {
            data: text.to_string(),
            attributes,
        },
        Reply::Integer(number) => New::Number {
            data: *number,
            attributes,
        },
        Reply::Bulk(bytes) => New::BlobString {
            data: bytes.to_vec(),
            attributes,
        },
        Reply::Verbatim(text) => New::VerbatimString {
            data: text.clone().into_bytes(),
            format: resp3::types::VerbatimStringFormat::Text,
            attributes,
        },
        Reply::Null | Reply::NullArray => New::Null,
        Reply::Bool(yes) => New::Boolean {
            data: *yes,
            attributes,
        },
        Reply::Double(text) => New::Double {
            data: text.parse().unwrap(),
            attributes,
        },
        Reply::Array(items) => array(items.iter().map(new).collect()),
        Reply::Set(items) => New::Set {
            data: items.iter().map(new).collect(),
            attributes,
        },
        Reply::Push(items) => New::Push {
            data: items.iter().map(new).collect(),
            attributes,
        },
        Reply::Map(pairs) => New::Map {
            data: pairs
                .iter()
                .map(|(key, value)| (new(key), new(value)))
                .collect(),
            attributes,
        },
        Reply::Pairs(pairs) => {
            let pair = |(first, second): &(Reply, Reply)| array(vec![new(first), new(second)]);
            array(pairs.iter().map(pair).collect())
        }
        other => panic!("{other:?} is not one frame"),
    }
}

fn written(reply: &Reply, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    reply.write(protocol, &mut out);
    out
}

proptest! {
    #[test]
    fn replies_are_read_as_they_were_meant(reply in reply()) {
        let out = written(&reply, Protocol::Resp2);
        let (frame, size) = resp2::decode::decode(&out).unwrap().unwrap();
        prop_assert_eq!((frame, size), (old(&reply), out.len()));

        let out = written(&reply, Protocol::Resp3);
        let (frame, size) = resp3::decode::complete::decode(&out).unwrap().unwrap();
        prop_assert_eq!((frame, size), (new(&reply), out.len()));
    }

    #[test]
    fn requests_are_read_as_they_were_meant(
        requests in vec(vec(vec(any::<u8>(), 0..50), 1..6), 0..6),
        step in 1..60usize,
    ) {
        let mut stream = BytesMut::new();
        for request in &requests {
            let words = request.iter().cloned().map(Old::BulkString).collect();
            resp2::encode::extend_encode(&mut stream, &resp2_bytes(Old::Array(words)), false).unwrap();
        }
        let (mut parser, mut buffer, mut found) = (Parser::new(64, 1024), BytesMut::new(), Vec::new());
        for part in stream.chunks(step) {
            buffer.extend_from_slice(part);
            while let Some(request) = parser.next(&mut buffer, true).unwrap() {
                found.push(request.from(0).map(<[u8]>::to_vec).collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(found, requests);
    }
}

fn resp2_bytes(frame: Old) -> resp2::types::BytesFrame {
    use resp2::types::BytesFrame;
    match frame {
        Old::BulkString(bytes) => BytesFrame::BulkString(bytes.into()),
        Old::Array(items) => BytesFrame::Array(items.into_iter().map(resp2_bytes).collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_several_frames_or_none_is_written_so() {
    let several = Reply::Several(vec![Reply::OK, Reply::Push(vec![Reply::bulk("x")])]);
    assert_eq!(
        written(&several, Protocol::Resp2),
        b"+OK\r\n*1\r\n$1\r\nx\r\n"
    );
    assert_eq!(
        written(&several, Protocol::Resp3),
        b"+OK\r\n>1\r\n$1\r\nx\r\n"
    );
    assert_eq!(written(&Reply::NOTHING, Protocol::Resp3), b"");
    // No text can pretend to be a second reply.
    let split = Reply::Error(Cow::Borrowed("ERR a\r\n+OK"));
    assert_eq!(written(&split, Protocol::Resp2), b"-ERR a  +OK\r\n");
    assert_eq!(written(&Reply::NullArray, Protocol::Resp2), b"*-1\r\n");
    assert_eq!(
        written(&Reply::Bulk(Bytes::new()), Protocol::Resp2),
        b"$0\r\n\r\n"
    );
}
