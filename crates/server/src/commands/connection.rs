//! The client's connection: greetings, the password, the database.

use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};
use crate::request::{Request, integer};
use crate::server::DATABASES;
use crate::session::Session;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Connection,
    commands: &[
        super::client::CLIENT,
        Command::quick("ping", -1, ping)
            .fast()
            .flags(Flags::SUBSCRIBED)
            .docs("1.0.0", "O(1)", "Returns the server's liveliness response."),
        Command::quick("echo", 2, |_, request| Ok(Reply::Bulk(request.share(1))))
            .fast()
            .docs("1.0.0", "O(1)", "Returns the given string."),
        Command::quick("hello", -1, hello)
            .fast()
            .flags(Flags::NO_AUTH.and(Flags::NO_MULTI))
            .docs("6.0.0", "O(1)", "Handshakes with the server."),
        Command::quick("auth", -2, auth)
            .fast()
            .flags(Flags::NO_AUTH)
            .docs(
                "1.0.0",
                "O(N) where N is the length of the password",
                "Authenticates the connection.",
            ),
        Command::quick("select", 2, select)
            .fast()
            .flags(Flags::NO_MULTI)
            .docs("1.0.0", "O(1)", "Changes the selected database."),
        Command::quick("quit", -1, quit)
            .fast()
            .flags(Flags::NO_AUTH.and(Flags::NO_MULTI).and(Flags::SUBSCRIBED))
            .docs("1.0.0", "O(1)", "Closes the connection."),
        Command::quick("reset", 1, reset)
            .fast()
            .flags(Flags::NO_AUTH.and(Flags::NO_MULTI).and(Flags::SUBSCRIBED))
            .docs("6.2.0", "O(1)", "Resets the connection."),
    ],
};

fn ping(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    if request.len() <= 2 && session.is_subscriber() {
        let text = Reply::Bulk(request.share(1));
        return Ok(Reply::Array(vec![Reply::word("pong"), text]));
    }
    match request.len() {
        1 => Ok(Reply::Simple("PONG".into())),
        2 => Ok(Reply::Bulk(request.share(1))),
        _ => Err(Refusal::arity("ping")),
    }
}

/// The only user there is.
const DEFAULT_USER: &[u8] = b"default";

/// Whether a password is right. Takes as long whether it is or not, and wherever it differs.
fn is_right(password: &str, said: &[u8]) -> bool {
    // Of equal length, and without telling the length: digests are compared.
    blake3::hash(password.as_bytes()) == blake3::hash(said)
}

fn authenticate(session: &mut Session, user: &[u8], said: &[u8]) -> Result<(), Refusal> {
    let password = session.server.settings.password();
    // Without a password any is right for the user that everybody is.
    let is_right = password.is_none_or(|password| is_right(&password, said));
    if user != DEFAULT_USER || !is_right {
        return Err("WRONGPASS invalid username-password pair or user is disabled.".into());
    }
    session.is_trusted = true;
    Ok(())
}

fn auth(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    match request.len() {
        2 if session.server.settings.password().is_none() => {
            return Err(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
                    .into(),
            );
        }
        2 => authenticate(session, DEFAULT_USER, request.get(1))?,
        3 => authenticate(session, request.get(1), request.get(2))?,
        _ => return Err(Refusal::SYNTAX),
    }
    Ok(Reply::OK)
}

fn hello(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let protocol = match request.len() {
        1 => session.protocol,
        _ => match integer(request.get(1)) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err("NOPROTO unsupported protocol version".into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        },
    };
    let (mut at, mut credentials, mut name) = (2, None, None);
    while at < request.len() {
        let (word, left) = (request.get(at), request.len() - at - 1);
        if word.eq_ignore_ascii_case(b"auth") && left >= 2 {
            credentials = Some((request.get(at + 1), request.get(at + 2)));
            at += 3;
        } else if word.eq_ignore_ascii_case(b"setname") && left >= 1 {
            check_name(request.get(at + 1))?;
            name = Some(request.share(at + 1));
            at += 2;
        } else {
            let word = String::from_utf8_lossy(word);
            return Err(format!("ERR Syntax error in HELLO option '{word}'").into());
        }
    }
    if let Some((user, said)) = credentials {
        authenticate(session, user, said)?;
    }
    if !session.is_trusted {
        return Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time".into());
    }
    if let Some(name) = name {
        session.client.rename(name);
    }
    session.protocol = protocol;
    let version = match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    Ok(Reply::Map(vec![
        (Reply::word("server"), Reply::word("redis")),
        (Reply::word("version"), Reply::word(REDIS_VERSION)),
        (Reply::word("proto"), Reply::Integer(version)),
        (
            Reply::word("id"),
            Reply::Integer(i64::try_from(session.client.id).unwrap_or(i64::MAX)),
        ),
        (Reply::word("mode"), Reply::word("standalone")),
        (Reply::word("role"), Reply::word("master")),
        (Reply::word("modules"), Reply::Array(Vec::new())),
    ]))
}

/// The version of Redis whose replies these are. Clients look at it to know what they may ask for.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

/// As Redis: names are listed with spaces in between.
pub(crate) fn check_name(name: &[u8]) -> Result<(), Refusal> {
    match name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        true => Ok(()),
        false => {
            Err("ERR Client names cannot contain spaces, newlines or special characters.".into())
        }
    }
}

fn select(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    if session.queued.is_some() {
        return Err(
            "ERR SELECT inside MULTI is not possible: a transaction is of one database".into(),
        );
    }
    session.select(database(request.get(1))?);
    Ok(Reply::OK)
}

/// A database by its number.
pub(crate) fn database(text: &[u8]) -> Result<u8, Refusal> {
    let number = integer(text).ok_or(Refusal::said("ERR invalid DB index"))?;
    let number = u8::try_from(number)
        .ok()
        .filter(|number| *number < DATABASES);
    number.ok_or(Refusal::said("ERR DB index is out of range"))
}

fn quit(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    session.is_ending = true;
    Ok(Reply::OK)
}

fn reset(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    session.reset();
    Ok(Reply::Simple("RESET".into()))
}
