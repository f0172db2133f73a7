//! What commands come to that run at the same time on nodes which have not heard of each other: the right column of the page of commands.
//! `docs/semantics.md` says the same, case by case and at length.

use super::{Command, Flags};

const LOCAL: &str = "reads what this node has";

/// What is written in the page where nothing else is.
const NOTHING: &str = "of this node and its clients alone";

/// What a command comes to beside others elsewhere.
pub fn concurrently(command: &Command) -> &'static str {
    match told(command.name) {
        Some(told) => told,
        None if command.is(Flags::READONLY) => LOCAL,
        None => NOTHING,
    }
}

/// Of commands that change something, each; of others, where there is something to be said.
fn told(name: &str) -> Option<&'static str> {
    Some(match name {
        "set" | "setex" | "psetex" | "mset" => {
            "the latest write is read; the others stay as siblings (`SYNCLINE CONFLICTS`) until a write that has seen them. An increment that it had not seen still counts"
        }
        "setnx" | "msetnx" => {
            "decided by what this node has, then as `SET`: **two nodes can both succeed**, so it is no lock"
        }
        "append" | "setrange" | "setbit" | "bitfield" | "getset" | "rename" | "renamenx"
        | "copy" | "restore" | "bitop" => {
            "decided by what this node has, then written whole as `SET`: of two, one is read and the other a sibling"
        }
        "getdel" => "reads what this node has and removes that, as `DEL`",
        "getex" => "reads what this node has; the deadline as `EXPIRE`",
        "incr" | "incrby" | "decr" | "decrby" | "incrbyfloat" => {
            "sums: each counts once, on every node. Erased by exactly the `SET`s and `DEL`s that have seen it. **No unique numbers**: two nodes can be answered the same"
        }
        "del" | "unlink" | "flushdb" | "flushall" => {
            "removes what this node has seen; what was written elsewhere meanwhile stays, in part if need be"
        }
        "expire" | "pexpire" | "expireat" | "pexpireat" => {
            "the later deadline holds; beside `PERSIST` the key stays; beside a `SET` it holds only if it was stamped after it"
        }
        "persist" => "wins over a deadline set elsewhere meanwhile",
        "move" => {
            "a write there and then a removal here, as `SET` and `DEL`: moved by two nodes to two databases, it is in both"
        }
        "sadd" => "added wins: a removal elsewhere that had not seen it leaves it there",
        "srem" => "removes the additions that this node has seen",
        "smove" => "as `SREM` and `SADD`: moved by two nodes to two sets, a member is in both",
        "spop" => "as `SREM` of what this node has: **two nodes can be given the same member**",
        "sinterstore" | "sunionstore" | "sdiffstore" | "zinterstore" | "zunionstore"
        | "zdiffstore" | "zrangestore" | "georadius" => {
            "of what this node has; the destination is removed as by `DEL` and filled as by `SADD` or `ZADD`, so two results are united"
        }
        "hset" | "hmset" => "each field for itself, as `SET`",
        "hsetnx" => "decided by what this node has, then as `HSET`: **two nodes can both succeed**",
        "hdel" => "removes what this node has seen of the fields",
        "hincrby" | "hincrbyfloat" => "sums, as `INCRBY`",
        "zadd" => {
            "each member for itself, as `SET`: the latest score is read. `NX`, `XX`, `GT` and `LT` are decided by what this node has; `INCR` sums"
        }
        "zincrby" => "sums, as `INCRBYFLOAT`",
        "zrem" | "zremrangebyrank" | "zremrangebyscore" | "zremrangebylex" => {
            "removes what this node has seen of the members; an increment that it had not seen begins again from 0"
        }
        "zpopmin" | "zpopmax" | "zmpop" | "bzpopmin" | "bzpopmax" | "bzmpop" => {
            "as `ZREM` of what this node has: **two nodes can be given the same member**"
        }
        "sort" => "reads what this node has",
        "exec" => {
            "one transaction where it runs, and wherever it arrives as a whole; a node healed by a session may pass through a part of it"
        }
        "watch" => {
            "changes that have come to this node, from wherever; not those still on their way"
        }
        "wait" => "the number of other nodes that have this connection's writes durably",
        "publish" | "spublish" => {
            "to the subscribers of all nodes, at most once each and in the order of this node; nothing is kept; the reply counts those here"
        }
        _ => return None,
    })
}

/// Whether it is said what a command comes to that changes something.
#[cfg(test)]
pub(super) fn is_told(command: &Command) -> bool {
    told(command.name).is_some() || !command.is(Flags::WRITE)
}
