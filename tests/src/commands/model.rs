//! What Redis would hold, and answer.

use std::collections::{BTreeMap, BTreeSet};

use redis_protocol::resp2::types::OwnedFrame;

use super::script::Words;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const NO_FLOAT: &str = "ERR value is not a valid float";
const OVERFLOW: &str = "ERR increment or decrement would overflow";

type Bytes = Vec<u8>;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Word(String),
    Error(String),
    Number(i64),
    Bytes(Bytes),
    Nothing,
    Many(Vec<Said>),
}

impl From<OwnedFrame> for Said {
    fn from(frame: OwnedFrame) -> Self {
        match frame {
            OwnedFrame::SimpleString(text) => Self::Word(String::from_utf8(text).unwrap()),
            OwnedFrame::Error(text) => Self::Error(text),
            OwnedFrame::Integer(number) => Self::Number(number),
            OwnedFrame::BulkString(bytes) => Self::Bytes(bytes),
            OwnedFrame::Null => Self::Nothing,
            OwnedFrame::Array(items) => Self::Many(items.into_iter().map(Self::from).collect()),
        }
    }
}

/// What it should say.
#[derive(Debug)]
pub(super) enum Expected {
    This(Said),
    /// These in any order, so many together.
    Any(Vec<Bytes>, usize),
    /// Each of these in its place.
    Each(Vec<Expected>),
}

impl Expected {
    pub(super) fn admits(&self, said: &Said) -> bool {
        match (self, said) {
            (Self::This(expected), said) => expected == said,
            (Self::Any(items, together), Said::Many(said)) => {
                let expected: Vec<_> = items.iter().cloned().map(Said::Bytes).collect();
                sorted(&expected, *together) == sorted(said, *together)
            }
            (Self::Each(expected), Said::Many(said)) => {
                expected.len() == said.len()
                    && expected
                        .iter()
                        .zip(said)
                        .all(|(expected, said)| expected.admits(said))
            }
            _ => false,
        }
    }
}

fn sorted(items: &[Said], together: usize) -> Vec<&[Said]> {
    let mut items: Vec<_> = items.chunks(together).collect();
    items.sort();
    items
}

fn number(number: usize) -> Expected {
    Expected::This(Said::Number(number as i64))
}

fn ok() -> Expected {
    Expected::This(Said::Word("OK".to_owned()))
}

fn bytes(bytes: impl Into<Bytes>) -> Expected {
    Expected::This(Said::Bytes(bytes.into()))
}

fn maybe(bytes: Option<Bytes>) -> Expected {
    Expected::This(bytes.map_or(Said::Nothing, Said::Bytes))
}

fn many(items: Vec<Bytes>) -> Expected {
    Expected::This(Said::Many(items.into_iter().map(Said::Bytes).collect()))
}

/// An error is a reply as well.
type Outcome = Result<Expected, String>;

#[derive(Clone, Debug)]
enum Value {
    Text(Bytes),
    Set(BTreeSet<Bytes>),
    Hash(BTreeMap<Bytes, Bytes>),
    Sorted(BTreeMap<Bytes, f64>),
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    has_deadline: bool,
}

/// What waits for `EXEC`, and whether it is spoilt.
type Queue = (Vec<Words>, bool);

#[derive(Default)]
pub(super) struct Model {
    keys: BTreeMap<Bytes, Entry>,
    queue: Option<Queue>,
}

/// A collection of a key, made if need be; gone again if it is empty in the end.
macro_rules! collection {
    ($read:ident, $change:ident, $kind:ident, $type:ty) => {
        fn $read(&self, key: &[u8]) -> Result<$type, String> {
            match self.keys.get(key).map(|entry| &entry.value) {
                None => Ok(<$type>::default()),
                Some(Value::$kind(held)) => Ok(held.clone()),
                Some(_) => Err(WRONG_TYPE.to_owned()),
            }
        }

        fn $change<T>(
            &mut self,
            key: &[u8],
            change: impl FnOnce(&mut $type) -> Result<T, String>,
        ) -> Result<T, String> {
            let mut held = self.$read(key)?;
            let done = change(&mut held)?;
            if held.is_empty() {
                self.keys.remove(key);
            } else {
                self.keep(key, Value::$kind(held));
            }
            Ok(done)
        }
    };
}

impl Model {
    pub(super) fn execute(&mut self, words: &Words) -> Expected {
        let name = String::from_utf8(words[0].clone()).unwrap();
        if name == "nonsense" || (name == "get" && words.len() != 2) {
            if let Some((_, is_spoilt)) = &mut self.queue {
                *is_spoilt = true;
            }
            let text = match name.as_str() {
                "get" => "ERR wrong number of arguments for 'get' command".to_owned(),
                _ => format!(
                    "ERR unknown command 'nonsense', with args beginning with: '{}' ",
                    String::from_utf8_lossy(&words[1])
                ),
            };
            return Expected::This(Said::Error(text));
        }
        let done = match (name.as_str(), self.queue.take()) {
            ("multi", None) => {
                self.queue = Some((Vec::new(), false));
                Ok(ok())
            }
            ("multi", queue) => {
                self.queue = queue;
                Err("ERR MULTI calls can not be nested".to_owned())
            }
            ("exec", None) => Err("ERR EXEC without MULTI".to_owned()),
            ("discard", None) => Err("ERR DISCARD without MULTI".to_owned()),
            ("discard", Some(_)) => Ok(ok()),
            ("exec", Some((_, true))) => {
                Err("EXECABORT Transaction discarded because of previous errors.".to_owned())
            }
            ("exec", Some((queue, false))) => {
                let replies = queue.iter().map(|words| self.execute(words));
                Ok(Expected::Each(replies.collect()))
            }
            (_, Some((mut queue, is_spoilt))) => {
                queue.push(words.clone());
                self.queue = Some((queue, is_spoilt));
                Ok(Expected::This(Said::Word("QUEUED".to_owned())))
            }
            (name, None) => self.run(name, &words[1..]),
        };
        done.unwrap_or_else(|text| Expected::This(Said::Error(text)))
    }

    fn run(&mut self, name: &str, words: &[Bytes]) -> Outcome {
        match name.chars().next() {
            Some('s')
                if name != "set"
                    && !name.starts_with("setr")
                    && name != "setnx"
                    && name != "strlen" =>
            {
                self.run_set(name, words)
            }
            Some('h') => self.run_hash(name, words),
            Some('z') => self.run_sorted(name, words),
            _ => match words.first() {
                Some(key) => self.run_text(name, &key.clone(), words),
                None => match name {
                    "dbsize" => Ok(number(self.keys.len())),
                    "flushdb" => {
                        self.keys.clear();
                        Ok(ok())
                    }
                    other => panic!("{other}"),
                },
            },
        }
    }

    fn run_text(&mut self, name: &str, key: &[u8], words: &[Bytes]) -> Outcome {
        let exists = self.keys.contains_key(key);
        Ok(match name {
            "set" => {
                let says = |word: &str| words[2..].iter().any(|it| it == word.as_bytes());
                let old = match says("get") {
                    true => Some(self.text(key)?),
                    false => None,
                };
                let is_set = !(says("nx") && exists || says("xx") && !exists);
                if is_set {
                    let keeps = says("keepttl");
                    let had = self.keys.get(key).is_some_and(|entry| entry.has_deadline);
                    self.put(key, &words[1]);
                    if let Some(entry) = self.keys.get_mut(key) {
                        entry.has_deadline = keeps && had;
                    }
                }
                match old {
                    Some(old) => maybe(old),
                    None if is_set => ok(),
                    None => maybe(None),
                }
            }
            "get" => maybe(self.text(key)?),
            "getset" => {
                let old = self.text(key)?;
                self.put(key, &words[1]);
                maybe(old)
            }
            "getdel" => {
                let old = self.text(key)?;
                self.keys.remove(key);
                maybe(old)
            }
            "setnx" => {
                if !exists {
                    self.put(key, &words[1]);
                }
                number(usize::from(!exists))
            }
            "mset" => {
                for pair in words.chunks(2) {
                    self.put(&pair[0], &pair[1]);
                }
                ok()
            }
            "msetnx" => {
                let free = words
                    .chunks(2)
                    .all(|pair| !self.keys.contains_key(&pair[0]));
                if free {
                    for pair in words.chunks(2) {
                        self.put(&pair[0], &pair[1]);
                    }
                }
                number(usize::from(free))
            }
            "mget" => {
                let texts = words
                    .iter()
                    .map(|key| maybe(self.text(key).unwrap_or(None)));
                Expected::Each(texts.collect())
            }
            "append" => {
                let mut text = self.text(key)?.unwrap_or_default();
                text.extend(&words[1]);
                let len = text.len();
                self.keep(key, Value::Text(text));
                number(len)
            }
            "strlen" => number(self.text(key)?.unwrap_or_default().len()),
            "setrange" => {
                let mut text = self.text(key)?.unwrap_or_default();
                let end = 2 + words[2].len();
                if !words[2].is_empty() {
                    text.resize(text.len().max(end), 0);
                    text[2..end].copy_from_slice(&words[2]);
                    self.keep(key, Value::Text(text.clone()));
                }
                number(text.len())
            }
            "getrange" => {
                let (from, to) = (integer(&words[1])?, integer(&words[2])?);
                let text = self.text(key)?.unwrap_or_default();
                let range = between(from, to, text.len());
                bytes(&text[range])
            }
            "incrby" | "incr" | "decr" => {
                let by = match name {
                    "incrby" => integer(&words[1])?,
                    "incr" => 1,
                    _ => -1,
                };
                let text = self.text(key)?;
                let was = text.map_or(Ok(0), |text| integer(&text))?;
                let sum = was.checked_add(by).ok_or(OVERFLOW)?;
                self.keep(key, Value::Text(sum.to_string().into_bytes()));
                Expected::This(Said::Number(sum))
            }
            "del" => {
                let gone = words.iter().filter(|key| self.keys.remove(*key).is_some());
                number(gone.count())
            }
            "exists" => number(
                words
                    .iter()
                    .filter(|key| self.keys.contains_key(*key))
                    .count(),
            ),
            "type" => {
                let name = match self.keys.get(key).map(|entry| &entry.value) {
                    None => "none",
                    Some(Value::Text(_)) => "string",
                    Some(Value::Set(_)) => "set",
                    Some(Value::Hash(_)) => "hash",
                    Some(Value::Sorted(_)) => "zset",
                };
                Expected::This(Said::Word(name.to_owned()))
            }
            "expire" => {
                let only = words.get(2).map(Vec::as_slice);
                let had = self.keys.get(key).is_some_and(|entry| entry.has_deadline);
                let applies =
                    exists && !(only == Some(b"nx") && had || only == Some(b"xx") && !had);
                if applies && words[1].starts_with(b"-") {
                    self.keys.remove(key);
                } else if let Some(entry) = self.keys.get_mut(key).filter(|_| applies) {
                    entry.has_deadline = true;
                }
                number(usize::from(applies))
            }
            "persist" => {
                let entry = self.keys.get_mut(key);
                let had = entry.is_some_and(|entry| std::mem::take(&mut entry.has_deadline));
                number(usize::from(had))
            }
            other => panic!("{other}"),
        })
    }

    fn run_set(&mut self, name: &str, words: &[Bytes]) -> Outcome {
        let (key, rest) = (&words[0], &words[1..]);
        Ok(match name {
            "sadd" => number(self.change_set(key, |set| {
                Ok(rest.iter().filter(|it| set.insert((*it).clone())).count())
            })?),
            "srem" => number(self.change_set(key, |set| {
                Ok(rest.iter().filter(|it| set.remove(*it)).count())
            })?),
            "sismember" => number(usize::from(self.set(key)?.contains(&rest[0]))),
            "scard" => number(self.set(key)?.len()),
            "smembers" => Expected::Any(self.set(key)?.into_iter().collect(), 1),
            "smove" => {
                if !self.keys.contains_key(key) {
                    return Ok(number(0));
                }
                let (is_there, _) = (self.set(key)?.contains(&rest[1]), self.set(&rest[0])?);
                if is_there && *key != rest[0] {
                    self.change_set(key, |set| Ok(set.remove(&rest[1])))?;
                    self.change_set(&rest[0], |set| Ok(set.insert(rest[1].clone())))?;
                }
                number(usize::from(is_there))
            }
            "sinter" | "sunion" | "sdiff" => {
                Expected::Any(self.combined(name, words)?.into_iter().collect(), 1)
            }
            "sinterstore" | "sunionstore" => {
                let combined = self.combined(name, rest)?;
                let len = combined.len();
                self.keys.remove(key);
                self.change_set(key, |set| {
                    *set = combined;
                    Ok(())
                })?;
                number(len)
            }
            other => panic!("{other}"),
        })
    }

    fn combined(&self, name: &str, keys: &[Bytes]) -> Result<BTreeSet<Bytes>, String> {
        let sets = keys.iter().map(|key| self.set(key));
        let sets = sets.collect::<Result<Vec<_>, _>>()?;
        let mut sets = sets.into_iter();
        let first = sets.next().unwrap();
        Ok(sets.fold(first, |all, set| match &name[..2] {
            "si" => all.intersection(&set).cloned().collect(),
            "su" => all.union(&set).cloned().collect(),
            _ => all.difference(&set).cloned().collect(),
        }))
    }

    fn run_hash(&mut self, name: &str, words: &[Bytes]) -> Outcome {
        let (key, rest) = (&words[0], &words[1..]);
        Ok(match name {
            "hset" => number(self.change_hash(key, |hash| {
                let put = |pair: &&[Bytes]| hash.insert(pair[0].clone(), pair[1].clone()).is_none();
                Ok(rest.chunks(2).filter(put).count())
            })?),
            "hsetnx" => number(self.change_hash(key, |hash| {
                let is_new = !hash.contains_key(&rest[0]);
                if is_new {
                    hash.insert(rest[0].clone(), rest[1].clone());
                }
                Ok(usize::from(is_new))
            })?),
            "hget" => maybe(self.hash(key)?.remove(&rest[0])),
            "hdel" => number(self.change_hash(key, |hash| {
                Ok(rest.iter().filter(|it| hash.remove(*it).is_some()).count())
            })?),
            "hlen" => number(self.hash(key)?.len()),
            "hgetall" => {
                let pairs = self.hash(key)?.into_iter();
                Expected::Any(pairs.flat_map(|(field, value)| [field, value]).collect(), 2)
            }
            "hincrby" => {
                let by = integer(&rest[1])?;
                let sum = self.change_hash(key, |hash| {
                    let was = hash.get(&rest[0]).map_or(Ok(0), |value| integer(value));
                    let was = was.map_err(|_| "ERR hash value is not an integer".to_owned())?;
                    let sum = was.checked_add(by).ok_or(OVERFLOW)?;
                    hash.insert(rest[0].clone(), sum.to_string().into_bytes());
                    Ok(sum)
                })?;
                Expected::This(Said::Number(sum))
            }
            other => panic!("{other}"),
        })
    }

    fn run_sorted(&mut self, name: &str, words: &[Bytes]) -> Outcome {
        let (key, rest) = (&words[0], &words[1..]);
        Ok(match name {
            "zadd" => {
                let (options, pair) = rest.split_at(rest.len() - 2);
                let says = |word: &str| options.iter().any(|it| it == word.as_bytes());
                let score = float(&pair[0])?;
                number(self.change_sorted(key, |sorted| {
                    let was = sorted.get(&pair[1]).copied();
                    let applies = match was {
                        None => !says("xx"),
                        Some(was) => {
                            !says("nx")
                                && (!says("gt") || score > was)
                                && (!says("lt") || score < was)
                        }
                    };
                    if applies {
                        sorted.insert(pair[1].clone(), score);
                    }
                    let counts = was.is_none() || says("ch") && was != Some(score);
                    Ok(usize::from(applies && counts))
                })?)
            }
            "zincrby" => {
                let by = float(&rest[0])?;
                let sum = self.change_sorted(key, |sorted| {
                    let sum = sorted.get(&rest[1]).copied().unwrap_or(0.0) + by;
                    if sum.is_nan() {
                        return Err("ERR resulting score is not a number (NaN)".to_owned());
                    }
                    sorted.insert(rest[1].clone(), sum);
                    Ok(sum)
                })?;
                bytes(printed(sum))
            }
            "zrem" => number(self.change_sorted(key, |sorted| {
                Ok(rest
                    .iter()
                    .filter(|it| sorted.remove(*it).is_some())
                    .count())
            })?),
            "zscore" => maybe(self.sorted(key)?.get(&rest[0]).map(|score| printed(*score))),
            "zrank" => {
                let rank = self.ranked(key)?.iter().position(|(_, it)| *it == rest[0]);
                rank.map_or(Expected::This(Said::Nothing), number)
            }
            "zcard" => number(self.sorted(key)?.len()),
            "zrange" => {
                let (from, to) = (integer(&rest[0])?, integer(&rest[1])?);
                let ranked = self.ranked(key)?;
                let range = between(from, to, ranked.len());
                many(ranked[range].iter().map(|(_, it)| it.clone()).collect())
            }
            "zpopmin" => {
                let first = self.ranked(key)?.into_iter().next();
                let Some((score, member)) = first else {
                    return Ok(many(Vec::new()));
                };
                self.change_sorted(key, |sorted| Ok(sorted.remove(&member)))?;
                many(vec![member, printed(score)])
            }
            other => panic!("{other}"),
        })
    }

    /// By score, then by member.
    fn ranked(&self, key: &[u8]) -> Result<Vec<(f64, Bytes)>, String> {
        let sorted = self.sorted(key)?.into_iter();
        let mut ranked: Vec<_> = sorted.map(|(member, score)| (score, member)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        Ok(ranked)
    }

    fn text(&self, key: &[u8]) -> Result<Option<Bytes>, String> {
        match self.keys.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(WRONG_TYPE.to_owned()),
        }
    }

    /// In place of whatever was there, its deadline as well.
    fn put(&mut self, key: &[u8], text: &[u8]) {
        self.keys.remove(key);
        self.keep(key, Value::Text(text.to_vec()));
    }

    /// With the deadline that is there.
    fn keep(&mut self, key: &[u8], value: Value) {
        let had = self.keys.get(key).is_some_and(|entry| entry.has_deadline);
        let entry = Entry {
            value,
            has_deadline: had,
        };
        self.keys.insert(key.to_vec(), entry);
    }

    collection!(set, change_set, Set, BTreeSet<Bytes>);
    collection!(hash, change_hash, Hash, BTreeMap<Bytes, Bytes>);
    collection!(sorted, change_sorted, Sorted, BTreeMap<Bytes, f64>);
}

fn integer(text: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| NO_INTEGER.to_owned())
}

fn float(text: &[u8]) -> Result<f64, String> {
    let number: f64 = std::str::from_utf8(text).unwrap().parse().unwrap();
    match number.is_nan() {
        true => Err(NO_FLOAT.to_owned()),
        false => Ok(number),
    }
}

fn printed(score: f64) -> Bytes {
    format!("{score}").into_bytes()
}

/// Positions, from the end where negative, as a range within a length.
fn between(from: i64, to: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let place = |at: i64| {
        if at < 0 {
            at.saturating_add(len).max(0)
        } else {
            at
        }
    };
    let both_before = from < 0 && to < 0 && from > to;
    let (from, to) = (place(from), place(to).min(len - 1));
    match both_before || from > to || to < 0 {
        true => 0..0,
        false => from as usize..to as usize + 1,
    }
}
