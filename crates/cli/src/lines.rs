//! The JSON lines that `export` prints and `import` reads: one register, counter, map, set or sorted set a line, with a tag.
//!
//! ```text
//! {"key":"motto","type":"register","value":"merge, do not fork"}
//! {"key":"visits","type":"counter","value":3}
//! {"fields":{"born":"1815","name":"Ada"},"key":"user:7","type":"map"}
//! {"key":"online","members":["ada","bob"],"type":"set"}
//! {"key":"game","scores":{"ada":"8","bob":"-inf"},"type":"sorted set"}
//! ```
//!
//! A value is a register or a counter by what it reads as: a number is a number, however it was written. Bytes that are
//! not UTF-8 are written as `base64:…`, and so is text that begins with these letters. A line adds to what is there, so a
//! large map or set takes several.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use syncline::Score;

use crate::records::{Record, RecordError};

const BINARY: &str = "base64:";

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: Vec<u8>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A register or a counter: bytes, a number as its decimal digits.
    Value(Vec<u8>),
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    Members(Vec<Vec<u8>>),
    Scores(Vec<(Vec<u8>, Score)>),
}

impl Content {
    /// How many rows it takes.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Value(_) => 1,
            Self::Fields(fields) => fields.len(),
            Self::Members(members) => members.len(),
            Self::Scores(scores) => scores.len(),
        }
    }

    /// Bytes of fields, members and values.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Fields(fields) => fields
                .iter()
                .map(|(field, value)| field.len() + value.len())
                .sum(),
            Self::Members(members) => members.iter().map(Vec::len).sum(),
            Self::Scores(scores) => scores
                .iter()
                .map(|(member, _)| member.len() + size_of::<Score>())
                .sum(),
        }
    }
}

impl From<Record> for Item {
    fn from(record: Record) -> Self {
        Self {
            key: record.key,
            content: Content::Fields(record.fields),
        }
    }
}

/// The line, without its end.
pub(crate) fn print(item: &Item) -> String {
    to_json(item).to_string()
}

/// The same as a value.
pub(crate) fn to_json(item: &Item) -> Value {
    let key = text(&item.key);
    match &item.content {
        Content::Value(value) => match number(value) {
            Some(number) => json!({"type": "counter", "key": key, "value": number}),
            None => json!({"type": "register", "key": key, "value": text(value)}),
        },
        Content::Fields(fields) => {
            let fields = fields
                .iter()
                .map(|(field, value)| (text(field), Value::String(text(value))));
            json!({"type": "map", "key": key, "fields": fields.collect::<Map<_, _>>()})
        }
        Content::Members(members) => {
            let members: Vec<String> = members.iter().map(|member| text(member)).collect();
            json!({"type": "set", "key": key, "members": members})
        }
        Content::Scores(scores) => {
            let score = |score: &Score| Value::String(text(&score.to_text()));
            let scores = scores
                .iter()
                .map(|(member, number)| (text(member), score(number)));
            json!({"type": "sorted set", "key": key, "scores": scores.collect::<Map<_, _>>()})
        }
    }
}

/// Reads a line back.
///
/// # Errors
/// [`RecordError::Line`], which says what the line lacks.
pub(crate) fn parse(line: u64, mut object: Map<String, Value>) -> Result<Item, RecordError> {
    let parsed = parse_object(&mut object).and_then(|item| match object.keys().next() {
        None => Ok(item),
        Some(name) => Err(format!("unknown name {name:?}; {EXPECTED}")),
    });
    parsed.map_err(|text| RecordError::Line { line, text })
}

const EXPECTED: &str = "a line of `syncline export` has \"type\" (register, counter, map, set or sorted set), \"key\", and \
     \"value\", \"fields\", \"members\" or \"scores\"; give --key for plain records";

fn parse_object(object: &mut Map<String, Value>) -> Result<Item, String> {
    let kind = string(object.remove("type"), "type")?;
    let key = bytes(&string(object.remove("key"), "key")?)?;
    let content = match kind.as_str() {
        "register" => Content::Value(bytes(&string(object.remove("value"), "value")?)?),
        "counter" => match object.remove("value").as_ref().and_then(Value::as_i64) {
            Some(number) => Content::Value(number.to_string().into_bytes()),
            None => {
                return Err("the \"value\" of a counter must be an integer of 64 bits".to_owned());
            }
        },
        "map" => match object.remove("fields") {
            Some(Value::Object(fields)) => Content::Fields(
                fields
                    .into_iter()
                    .map(|(field, value)| {
                        Ok((bytes(&field)?, bytes(&string(Some(value), "fields")?)?))
                    })
                    .collect::<Result<_, String>>()?,
            ),
            _ => return Err("the \"fields\" of a map must be an object of strings".to_owned()),
        },
        "set" => match object.remove("members") {
            Some(Value::Array(members)) => Content::Members(
                members
                    .into_iter()
                    .map(|member| bytes(&string(Some(member), "members")?))
                    .collect::<Result<_, String>>()?,
            ),
            _ => return Err("the \"members\" of a set must be an array of strings".to_owned()),
        },
        "sorted set" => match object.remove("scores") {
            Some(Value::Object(scores)) => Content::Scores(
                scores
                    .into_iter()
                    .map(|(member, score)| {
                        let score = string(Some(score), "scores")?;
                        let number = Score::parse(score.as_bytes());
                        let number = number.ok_or_else(|| format!("{score:?} is not a score"))?;
                        Ok((bytes(&member)?, number))
                    })
                    .collect::<Result<_, String>>()?,
            ),
            _ => {
                return Err(
                    "the \"scores\" of a sorted set must be an object of strings".to_owned(),
                );
            }
        },
        other => return Err(format!("unknown type {other:?}; {EXPECTED}")),
    };
    Ok(Item { key, content })
}

fn string(value: Option<Value>, name: &str) -> Result<String, String> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("{name:?} must hold strings, not {other}")),
        None => Err(format!("there is no {name:?}; {EXPECTED}")),
    }
}

/// Bytes as JSON has them.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(BINARY) => text.to_owned(),
        _ => format!("{BINARY}{}", STANDARD.encode(bytes)),
    }
}

/// The bytes that a text stands for.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix(BINARY) {
        None => Ok(text.as_bytes().to_vec()),
        Some(encoded) => STANDARD.decode(encoded).map_err(|error| {
            format!("{text:?} is not base64 ({error}); text that begins with {BINARY:?} must be encoded itself")
        }),
    }
}

/// The number that the bytes write in the one form that numbers are printed in, so that printing loses nothing.
fn number(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn item(key: &[u8], content: Content) -> Item {
        Item {
            key: key.to_vec(),
            content,
        }
    }

    fn parse_text(text: &str) -> Result<Item, RecordError> {
        let Value::Object(object) = serde_json::from_str(text).unwrap() else {
            panic!("not an object: {text}");
        };
        parse(7, object)
    }

    #[test]
    fn what_is_printed_reads_back_whatever_the_bytes() {
        for item in [
            item(b"k", Content::Value(b"text".to_vec())),
            item(b"k", Content::Value(b"-17".to_vec())),
            item(b"k", Content::Value(b"007".to_vec())),
            item(b"k", Content::Value(Vec::new())),
            item(&[0xff, 0], Content::Value(vec![0x80])),
            item(b"base64:x", Content::Value(b"base64:".to_vec())),
            item(
                "clé\n\"".as_bytes(),
                Content::Members(vec![b"a".to_vec(), vec![0xfe]]),
            ),
            item(
                b"k",
                Content::Scores(
                    [1.1, 1e300, -2e-30, f64::INFINITY]
                        .into_iter()
                        .enumerate()
                        .map(|(n, score)| (vec![n as u8, 0xff], Score::new(score).unwrap()))
                        .collect(),
                ),
            ),
            item(
                b"k",
                Content::Fields(vec![(b"f".to_vec(), b"1".to_vec()), (vec![0xff], vec![])]),
            ),
        ] {
            let line = print(&item);
            assert!(!line.contains('\n'));
            let mut back = parse_text(&line).unwrap();
            if let Content::Scores(scores) = &mut back.content {
                scores.sort();
            }
            if let Content::Fields(fields) = &mut back.content {
                // Fields come back in the order of their printed names.
                fields.sort();
            }
            assert_eq!(back, item, "{line}");
        }
    }

    #[test]
    fn the_format_is_as_documented() {
        let visits = item(b"visits", Content::Value(b"3".to_vec()));
        assert_eq!(
            print(&visits),
            r#"{"key":"visits","type":"counter","value":3}"#
        );
        let game = vec![(b"ada".to_vec(), Score::new(8.0).unwrap())];
        assert_eq!(
            print(&item(b"game", Content::Scores(game))),
            r#"{"key":"game","scores":{"ada":"8"},"type":"sorted set"}"#
        );
        let online = item(b"online", Content::Members(vec![b"ada".to_vec()]));
        assert_eq!(
            print(&online),
            r#"{"key":"online","members":["ada"],"type":"set"}"#
        );
    }

    #[test]
    fn what_a_line_lacks_is_said() {
        for (text, words) in [
            (r#"{"key":"k"}"#, "no \"type\""),
            (r#"{"type":"list","key":"k"}"#, "unknown type \"list\""),
            (
                r#"{"type":"register","key":"k","value":1}"#,
                "must hold strings",
            ),
            (r#"{"type":"counter","key":"k","value":1.5}"#, "integer"),
            (
                r#"{"type":"map","key":"k","fields":["a"]}"#,
                "object of strings",
            ),
            (
                r#"{"type":"set","key":"k","members":[1]}"#,
                "must hold strings",
            ),
            (
                r#"{"type":"set","key":"k","members":["base64:?"]}"#,
                "not base64",
            ),
            (
                r#"{"type":"register","key":"k","value":"v","x":1}"#,
                "unknown name \"x\"",
            ),
        ] {
            let error = parse_text(text).unwrap_err();
            assert_eq!(error.line(), 7);
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }
}
