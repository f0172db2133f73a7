//! Which commands there are, and with which arguments.

use crate::rng::Choices;

/// A command and its arguments.
pub(super) type Words = Vec<Vec<u8>>;

/// Few, so that commands meet.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const MEMBERS: [&str; 5] = ["x", "y", "z", "10", ""];
const VALUES: [&str; 8] = [
    "",
    "0",
    "7",
    "-3",
    "text",
    "9223372036854775807",
    "1.5",
    "a\r\nb",
];
const NUMBERS: [&str; 7] = ["0", "1", "-1", "5", "-20", "9223372036854775807", "none"];
const SCORES: [&str; 8] = ["0", "1", "-1", "2.5", "1e3", "inf", "-inf", "nan"];

/// What an argument is taken from.
#[derive(Clone, Copy)]
enum Of {
    Key,
    Member,
    Value,
    Number,
    Score,
    /// This word.
    Word(&'static str),
    /// One of these, or nothing.
    Maybe(&'static [&'static str]),
    /// What stands here once more, up to twice.
    Again(&'static [Of]),
}

use Of::{Again, Key, Maybe, Member, Number, Score, Value, Word};

const COMMANDS: &[(&str, &[Of])] = &[
    (
        "set",
        &[
            Key,
            Value,
            Maybe(&["nx", "xx", "get"]),
            Maybe(&["get", "keepttl"]),
        ],
    ),
    ("get", &[Key]),
    ("getset", &[Key, Value]),
    ("getdel", &[Key]),
    ("setnx", &[Key, Value]),
    ("mset", &[Key, Value, Again(&[Key, Value])]),
    ("msetnx", &[Key, Value, Again(&[Key, Value])]),
    ("mget", &[Key, Again(&[Key])]),
    ("append", &[Key, Value]),
    ("strlen", &[Key]),
    ("setrange", &[Key, Word("2"), Value]),
    ("getrange", &[Key, Number, Number]),
    ("incrby", &[Key, Number]),
    ("incr", &[Key]),
    ("decr", &[Key]),
    ("del", &[Key, Again(&[Key])]),
    ("exists", &[Key, Again(&[Key])]),
    ("type", &[Key]),
    ("dbsize", &[]),
    ("flushdb", &[]),
    ("expire", &[Key, Word("100000"), Maybe(&["nx", "xx"])]),
    ("expire", &[Key, Word("-1")]),
    ("persist", &[Key]),
    ("sadd", &[Key, Member, Again(&[Member])]),
    ("srem", &[Key, Member, Again(&[Member])]),
    ("sismember", &[Key, Member]),
    ("scard", &[Key]),
    ("smembers", &[Key]),
    ("smove", &[Key, Key, Member]),
    ("sinter", &[Key, Again(&[Key])]),
    ("sunion", &[Key, Again(&[Key])]),
    ("sdiff", &[Key, Again(&[Key])]),
    ("sunionstore", &[Key, Key, Again(&[Key])]),
    ("sinterstore", &[Key, Key, Again(&[Key])]),
    ("hset", &[Key, Member, Value, Again(&[Member, Value])]),
    ("hsetnx", &[Key, Member, Value]),
    ("hget", &[Key, Member]),
    ("hdel", &[Key, Member, Again(&[Member])]),
    ("hlen", &[Key]),
    ("hgetall", &[Key]),
    ("hincrby", &[Key, Member, Number]),
    (
        "zadd",
        &[
            Key,
            Maybe(&["nx", "xx", "gt", "lt"]),
            Maybe(&["ch"]),
            Score,
            Member,
        ],
    ),
    ("zincrby", &[Key, Score, Member]),
    ("zrem", &[Key, Member, Again(&[Member])]),
    ("zscore", &[Key, Member]),
    ("zrank", &[Key, Member]),
    ("zcard", &[Key]),
    ("zrange", &[Key, Number, Number]),
    ("zpopmin", &[Key]),
    ("multi", &[]),
    ("exec", &[]),
    ("exec", &[]),
    ("discard", &[]),
    ("get", &[Key, Key]),
    ("nonsense", &[Key]),
];

/// Any command.
pub(super) fn command(choices: &mut impl Choices) -> Words {
    let (name, arguments) = choices.pick(COMMANDS);
    let mut words = vec![name.as_bytes().to_vec()];
    fill(arguments, choices, &mut words);
    words
}

fn fill(arguments: &[Of], choices: &mut impl Choices, words: &mut Words) {
    for argument in arguments {
        let word = match argument {
            Key => *choices.pick(&KEYS),
            Member => choices.pick(&MEMBERS),
            Value => choices.pick(&VALUES),
            Number => choices.pick(&NUMBERS),
            Score => choices.pick(&SCORES),
            Word(word) => word,
            Maybe(these) => match these.get(choices.below(2 * these.len() + 1)) {
                Some(word) => word,
                None => continue,
            },
            Again(arguments) => {
                for _ in 0..choices.below(3) {
                    fill(arguments, choices, words);
                }
                continue;
            }
        };
        words.push(word.as_bytes().to_vec());
    }
}
