//! Requests as clients send them: arrays of bulk strings, or lines typed by hand.

use bytes::{Bytes, BytesMut};

/// Arguments of a request at most.
const MAX_ARGUMENTS: i64 = 1024 * 1024;
/// A line typed by hand, and a line that says a length, at most.
const MAX_LINE: usize = 64 * 1024;
/// What one who has not said the password yet may send: so many arguments, each so long.
const STRANGERS: (i64, i64) = (10, 16 * 1024);
/// Room made for an argument at a time: nobody gets memory by saying how much will come.
const STEP: usize = 64 * 1024;

/// One request: a command and its arguments, as they came. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Bytes,
    /// Where each argument begins and ends.
    bounds: Box<[(u32, u32)]>,
}

impl Request {
    /// How many arguments there are, the command's name among them; at least one.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether there are none, which no request of a [`Parser`] has.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// The argument at `at`, where the command's name is at 0; empty beyond the last.
    pub fn get(&self, at: usize) -> &[u8] {
        match self.bounds.get(at) {
            Some(&(from, to)) => &self.bytes[from as usize..to as usize],
            None => &[],
        }
    }

    /// The arguments from `at` on.
    pub fn from(
        &self,
        at: usize,
    ) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator + Clone {
        let bounds = self.bounds.get(at..).unwrap_or_default();
        bounds
            .iter()
            .map(|&(from, to)| &self.bytes[from as usize..to as usize])
    }

    /// The argument at `at`, kept without a copy.
    pub fn share(&self, at: usize) -> Bytes {
        match self.bounds.get(at) {
            Some(&(from, to)) => self.bytes.slice(from as usize..to as usize),
            None => Bytes::new(),
        }
    }

    /// The one that is left without the first arguments.
    pub(crate) fn tail(&self, at: usize) -> Self {
        Self {
            bytes: self.bytes.clone(),
            bounds: self.bounds.get(at..).unwrap_or_default().into(),
        }
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// One made of arguments.
    pub(crate) fn of<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut bytes, mut bounds) = (Vec::new(), Vec::new());
        for argument in arguments {
            let from = bytes.len() as u32;
            bytes.extend_from_slice(argument);
            bounds.push((from, bytes.len() as u32));
        }
        Self {
            bytes: bytes.into(),
            bounds: bounds.into(),
        }
    }
}

/// Why a client is not understood. It is told so, and the connection is closed: where the next request begins nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A line that does not end.
    #[error("too big inline request")]
    InlineTooLong,
    /// A count of arguments that does not end.
    #[error("too big mbulk count string")]
    CountTooLong,
    /// The length of an argument that does not end.
    #[error("too big bulk count string")]
    LengthTooLong,
    /// A line whose quotes do not end.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// A count of arguments that is none, or too large.
    #[error("invalid multibulk length")]
    Count,
    /// A length that is none, or too large.
    #[error("invalid bulk length")]
    Length,
    /// Too many arguments before the password.
    #[error("unauthenticated multibulk length")]
    StrangersCount,
    /// Too long an argument before the password.
    #[error("unauthenticated bulk length")]
    StrangersLength,
    /// An argument that does not begin as one.
    #[error("expected '$', got '{}'", char::from(*.0))]
    NotBulk(u8),
    /// A request over the limit of the server.
    #[error("the request is over the limit of the server")]
    TooLarge,
}

/// Finds requests in what a client sends, wherever it is cut. It goes over each byte of a length once and over none of an argument's.
#[derive(Debug)]
pub struct Parser {
    /// Longest request in bytes, all told.
    max_request: usize,
    /// Longest argument in bytes.
    max_argument: i64,
    /// What has been found of the request under way.
    bounds: Vec<(u32, u32)>,
    /// Where to go on, counted from the beginning of the request.
    at: usize,
    /// Arguments to come; `None` between two requests.
    left: Option<i64>,
    /// Length of the argument to come, if it has been said.
    length: Option<usize>,
}

impl Parser {
    /// One that takes arguments and requests of so many bytes at most. A request is never over 4 GiB.
    pub fn new(max_argument: usize, max_request: usize) -> Self {
        Self {
            max_request: max_request.min(u32::MAX as usize),
            max_argument: i64::try_from(max_argument).unwrap_or(i64::MAX),
            bounds: Vec::new(),
            at: 0,
            left: None,
            length: None,
        }
    }

    /// Takes the next request from the front of `buffer`; `None` while it is not all there. `is_trusted` tells whether
    /// the client has said its password, or needs none.
    ///
    /// # Errors
    /// [`ProtocolError`], after which nothing more can be taken.
    pub fn next(
        &mut self,
        buffer: &mut BytesMut,
        is_trusted: bool,
    ) -> Result<Option<Request>, ProtocolError> {
        loop {
            let left = match self.left {
                Some(left) => left,
                None => match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(count) = self.count(buffer, is_trusted)? else {
                            return Ok(None);
                        };
                        if count <= 0 {
                            let _nothing = buffer.split_to(self.at);
                            self.at = 0;
                            continue;
                        }
                        // Not reserved: a count is quickly said.
                        *self.left.insert(count)
                    }
                    Some(_) => match inline(buffer)? {
                        Line::Partial => return Ok(None),
                        Line::Empty => continue,
                        Line::Request(request) => return Ok(Some(request)),
                    },
                },
            };
            for _ in 0..left {
                if !self.argument(buffer, is_trusted)? {
                    return Ok(None);
                }
                self.left = self.left.map(|left| left - 1);
            }
            let bytes = buffer.split_to(self.at).freeze();
            (self.at, self.left) = (0, None);
            let bounds = std::mem::take(&mut self.bounds).into_boxed_slice();
            return Ok(Some(Request { bytes, bounds }));
        }
    }

    /// How much of the request under way has come already, in bytes; 0 between two.
    pub fn pending(&self, buffer: &BytesMut) -> usize {
        buffer.len()
    }

    /// Reads `*count`.
    fn count(&mut self, buffer: &BytesMut, is_trusted: bool) -> Result<Option<i64>, ProtocolError> {
        let Some((line, next)) = line(buffer, 0, ProtocolError::CountTooLong)? else {
            return Ok(None);
        };
        let count = integer(&line[1..]).ok_or(ProtocolError::Count)?;
        if count > MAX_ARGUMENTS {
            return Err(ProtocolError::Count);
        }
        if count > STRANGERS.0 && !is_trusted {
            return Err(ProtocolError::StrangersCount);
        }
        self.at = next;
        Ok(Some(count))
    }

    /// Reads one argument; `false` while it is not all there.
    fn argument(&mut self, buffer: &mut BytesMut, is_trusted: bool) -> Result<bool, ProtocolError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                match buffer.get(self.at) {
                    None => return Ok(false),
                    Some(b'$') => {}
                    Some(&other) => return Err(ProtocolError::NotBulk(other)),
                }
                let Some((line, next)) = line(buffer, self.at, ProtocolError::LengthTooLong)?
                else {
                    return Ok(false);
                };
                let length = integer(&line[1..]).ok_or(ProtocolError::Length)?;
                if !(0..=self.max_argument).contains(&length) {
                    return Err(ProtocolError::Length);
                }
                if length > STRANGERS.1 && !is_trusted {
                    return Err(ProtocolError::StrangersLength);
                }
                let length = usize::try_from(length).map_err(|_| ProtocolError::Length)?;
                if next + length + 2 > self.max_request {
                    return Err(ProtocolError::TooLarge);
                }
                self.at = next;
                *self.length.insert(length)
            }
        };
        let end = self.at + length;
        if buffer.len() < end + 2 {
            buffer.reserve((end + 2 - buffer.len()).min(STEP));
            return Ok(false);
        }
        // Within `max_request`, which is within 32 bits.
        self.bounds.push((self.at as u32, end as u32));
        self.at = end + 2;
        self.length = None;
        Ok(true)
    }
}

/// The line that begins at `from`, without its end, and where the next begins.
fn line(
    buffer: &[u8],
    from: usize,
    too_long: ProtocolError,
) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let rest = &buffer[from..];
    let window = &rest[..rest.len().min(MAX_LINE)];
    match window.iter().position(|&byte| byte == b'\r') {
        // The byte after it is not looked at, as Redis does not.
        Some(end) if rest.len() >= end + 2 => Ok(Some((&rest[..end], from + end + 2))),
        Some(_) => Ok(None),
        None if rest.len() >= MAX_LINE => Err(too_long),
        None => Ok(None),
    }
}

/// An integer as Redis takes it: digits, with a minus in front if need be, and nothing else.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [] | [b'0', ..] => return None,
        _ => {}
    }
    // Summed below zero, where there is one number more.
    let mut sum = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum = sum.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    match negative {
        true => Some(sum),
        false => sum.checked_neg(),
    }
}

enum Line {
    Partial,
    Empty,
    Request(Request),
}

/// A line typed by hand.
fn inline(buffer: &mut BytesMut) -> Result<Line, ProtocolError> {
    let window = &buffer[..buffer.len().min(MAX_LINE)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return match buffer.len() >= MAX_LINE {
            true => Err(ProtocolError::InlineTooLong),
            false => Ok(Line::Partial),
        };
    };
    let line = buffer.split_to(end + 1);
    let line = &line[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let arguments = words(line).ok_or(ProtocolError::Quotes)?;
    Ok(match arguments.is_empty() {
        true => Line::Empty,
        false => Line::Request(Request::of(arguments.iter().map(Vec::as_slice))),
    })
}

/// The words of a line, in quotes or not, as Redis splits them; `None` where a quote does not end.
pub(crate) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(|byte| is_space(*byte)).is_some() {}
        if rest.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest.next() {
                None => break,
                Some(byte) if is_space(byte) => break,
                Some(quote @ (b'"' | b'\'')) => {
                    quoted(quote, &mut rest, &mut word)?;
                    // A closing quote ends the word.
                    if rest.peek().is_some_and(|byte| !is_space(*byte)) {
                        return None;
                    }
                }
                Some(byte) => word.push(byte),
            }
        }
        words.push(word);
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0)
}

/// The rest of a word in quotes, after the first.
fn quoted(
    quote: u8,
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>,
    word: &mut Vec<u8>,
) -> Option<()> {
    loop {
        match rest.next()? {
            byte if byte == quote => return Some(()),
            b'\\' if quote == b'\'' => match rest.next_if_eq(&b'\'') {
                Some(byte) => word.push(byte),
                None => word.push(b'\\'),
            },
            b'\\' => {
                let escaped = rest.next()?;
                word.push(match escaped {
                    b'x' => hexadecimal(rest).unwrap_or(b'x'),
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
            }
            byte => word.push(byte),
        }
    }
}

/// Two digits, if there are two.
fn hexadecimal(rest: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut ahead = rest.clone();
    let value = digit(ahead.next())? << 4 | digit(ahead.next())?;
    *rest = ahead;
    u8::try_from(value).ok()
}
