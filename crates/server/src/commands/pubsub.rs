//! Publications: to all who have subscribed, at this node or another, at the moment.

use bytes::Bytes;

use crate::pubsub::{MOST, Topic};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::Session;
use crate::table::{Command, Family, Flags, Group};

/// What is asked for while subscribed, and never queued.
const SUBSCRIBING: Flags = Flags::PUBSUB.and(Flags::NO_MULTI).and(Flags::SUBSCRIBED);

pub(crate) const FAMILY: Family = Family {
    group: Group::PubSub,
    commands: &[
        Command::quick("subscribe", -2, |session, request| {
            subscribe(session, request, Topic::Channel)
        })
        .flags(SUBSCRIBING)
        .docs(
            "2.0.0",
            "O(N) where N is the number of channels to subscribe to.",
            "Listens for messages published to channels.",
        ),
        Command::quick("unsubscribe", -1, |session, request| {
            unsubscribe(session, request, Topic::Channel)
        })
        .flags(SUBSCRIBING)
        .docs(
            "2.0.0",
            "O(N) where N is the number of channels to unsubscribe.",
            "Stops listening to messages posted to channels.",
        ),
        Command::quick("psubscribe", -2, |session, request| {
            subscribe(session, request, Topic::Pattern)
        })
        .flags(SUBSCRIBING)
        .docs(
            "2.0.0",
            "O(N) where N is the number of patterns to subscribe to.",
            "Listens for messages published to channels that match one or more patterns.",
        ),
        Command::quick("punsubscribe", -1, |session, request| {
            unsubscribe(session, request, Topic::Pattern)
        })
        .flags(SUBSCRIBING)
        .docs(
            "2.0.0",
            "O(N) where N is the number of patterns to unsubscribe.",
            "Stops listening to messages published to channels that match one or more patterns.",
        ),
        Command::quick("ssubscribe", -2, |session, request| {
            subscribe(session, request, Topic::Shard)
        })
        .flags(SUBSCRIBING)
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels to subscribe to.",
            "Listens for messages published to shard channels.",
        ),
        Command::quick("sunsubscribe", -1, |session, request| {
            unsubscribe(session, request, Topic::Shard)
        })
        .flags(SUBSCRIBING)
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels to unsubscribe.",
            "Stops listening to messages posted to shard channels.",
        ),
        Command::quick("publish", 3, |session, request| publish(session, request, false))
            .flags(Flags::PUBSUB)
            .fast()
            .docs(
                "2.0.0",
                "O(N+M) where N is the number of clients subscribed to the channel and M is the number of patterns subscribed to.",
                "Posts a message to a channel.",
            ),
        Command::quick("spublish", 3, |session, request| publish(session, request, true))
            .flags(Flags::PUBSUB)
            .fast()
            .docs(
                "7.0.0",
                "O(N) where N is the number of clients subscribed to the shard channel.",
                "Posts a message to a shard channel.",
            ),
        PUBSUB,
    ],
};

const PUBSUB: Command = Command::of_parts(
    "pubsub",
    &[
        Command::quick("channels", -2, |session, request| {
            channels(session, request, Topic::Channel)
        })
        .flags(Flags::PUBSUB)
        .docs(
            "2.8.0",
            "O(N) where N is the number of active channels",
            "Returns the active channels of this node.",
        ),
        Command::quick("numpat", 2, |session, _| {
            Ok(Reply::total(session.server.pubsub.len(Topic::Pattern)))
        })
        .flags(Flags::PUBSUB)
        .docs(
            "2.8.0",
            "O(1)",
            "Returns a count of unique pattern subscriptions of this node.",
        ),
        Command::quick("numsub", -2, |session, request| {
            numbers(session, request, Topic::Channel)
        })
        .flags(Flags::PUBSUB)
        .docs(
            "2.8.0",
            "O(N) where N is the number of requested channels",
            "Returns a count of this node's subscribers to channels.",
        ),
        Command::quick("shardchannels", -2, |session, request| {
            channels(session, request, Topic::Shard)
        })
        .flags(Flags::PUBSUB)
        .docs(
            "7.0.0",
            "O(N) where N is the number of active shard channels",
            "Returns the active shard channels of this node.",
        ),
        Command::quick("shardnumsub", -2, |session, request| {
            numbers(session, request, Topic::Shard)
        })
        .flags(Flags::PUBSUB)
        .docs(
            "7.0.0",
            "O(N) where N is the number of requested shard channels",
            "Returns the count of this node's subscribers to shard channels.",
        ),
        Command::HELP,
    ],
)
.flags(Flags::PUBSUB)
.docs(
    "2.8.0",
    "Depends on subcommand.",
    "A container for Pub/Sub commands.",
);

impl Topic {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Channel => ("subscribe", "unsubscribe"),
            Self::Pattern => ("psubscribe", "punsubscribe"),
            Self::Shard => ("ssubscribe", "sunsubscribe"),
        }
    }
}

fn told(what: &'static str, name: Reply, count: usize) -> Reply {
    Reply::Push(vec![Reply::word(what), name, Reply::total(count)])
}

fn subscribe(session: &mut Session, request: &Request, topic: Topic) -> Result<Reply, Refusal> {
    let (word, _) = topic.words();
    if session.queued.is_some() {
        return Err(format!("ERR {} isn't allowed inside MULTI", word.to_uppercase()).into());
    }
    if session.subscriptions.total() + request.len() > MOST {
        return Err(format!("ERR a client may have {MOST} subscriptions at most").into());
    }
    let names = request.from(1).map(Bytes::copy_from_slice);
    let replies = names.map(|name| {
        if session.subscriptions.of_mut(topic).insert(name.clone()) {
            session
                .server
                .pubsub
                .subscribe(topic, name.clone(), &session.client);
        }
        told(word, Reply::Bulk(name), session.subscriptions.count(topic))
    });
    let replies = replies.collect();
    session.client.subscribed(session.subscriptions.total());
    Ok(Reply::Several(replies))
}

fn unsubscribe(session: &mut Session, request: &Request, topic: Topic) -> Result<Reply, Refusal> {
    let (_, word) = topic.words();
    if session.queued.is_some() {
        return Err(format!("ERR {} isn't allowed inside MULTI", word.to_uppercase()).into());
    }
    let names: Vec<Bytes> = match request.len() {
        1 => session.subscriptions.of(topic).iter().cloned().collect(),
        _ => request.from(1).map(Bytes::copy_from_slice).collect(),
    };
    let mut replies = Vec::new();
    let is_none = names.is_empty();
    for name in names {
        if session.subscriptions.of_mut(topic).remove(&name) {
            let id = session.client.id;
            session.server.pubsub.unsubscribe(topic, &name, id);
        }
        replies.push((name, session.subscriptions.count(topic)));
    }
    session.client.subscribed(session.subscriptions.total());
    // What came before is told before.
    let before = session.client.mail.take().into_iter();
    let replies = replies
        .into_iter()
        .map(|(name, count)| told(word, Reply::Bulk(name), count));
    let none = is_none.then(|| told(word, Reply::Null, session.subscriptions.count(topic)));
    Ok(Reply::Several(before.chain(replies).chain(none).collect()))
}

fn publish(session: &mut Session, request: &Request, is_sharded: bool) -> Result<Reply, Refusal> {
    let (channel, payload) = (request.get(1), request.get(2));
    // They would keep all of the request otherwise, and what came with it.
    let (channel, payload) = (
        Bytes::copy_from_slice(channel),
        Bytes::copy_from_slice(payload),
    );
    let reached = session.server.publish(is_sharded, &channel, &payload)?;
    Ok(Reply::total(reached))
}

fn channels(session: &mut Session, request: &Request, topic: Topic) -> Result<Reply, Refusal> {
    let pattern = match request.len() {
        2 => &b"*"[..],
        3 => request.get(2),
        _ => {
            let word = String::from_utf8_lossy(request.get(1));
            return Err(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
            )
            .into());
        }
    };
    let names = session.server.pubsub.names(topic, pattern);
    Ok(Reply::bulks(names))
}

fn numbers(session: &mut Session, request: &Request, topic: Topic) -> Result<Reply, Refusal> {
    let numbers = (2..request.len()).flat_map(|at| {
        let count = session.server.pubsub.subscribers(topic, request.get(at));
        [Reply::Bulk(request.share(at)), Reply::total(count)]
    });
    Ok(Reply::Array(numbers.collect()))
}
