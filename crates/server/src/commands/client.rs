//! `CLIENT`: who is connected, and what they may do to each other.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Client, Unblock};
use crate::commands::connection::check_name;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::{Request, integer};
use crate::session::{Answering, Session};
use crate::table::{Command, Flags};

pub(crate) const CLIENT: Command = Command::of_parts(
    "client",
    &[
        Command::quick("getname", 2, |session, _| {
            let name = session.client.said().name;
            Ok(if name.is_empty() { Reply::Null } else { Reply::Bulk(name) })
        })
        .docs("2.6.9", "O(1)", "Returns the name of the connection."),
        Command::quick("getredir", 2, |_, _| Ok(Reply::Integer(-1)))
            .docs("6.0.0", "O(1)", "Returns -1: there is no tracking."),
        Command::quick("id", 2, |session, _| Ok(Reply::count(session.client.id)))
            .docs("5.0.0", "O(1)", "Returns the unique client ID of the connection."),
        Command::quick("info", 2, |session, _| {
            Ok(Reply::Verbatim(described(&session.client) + "\n"))
        })
        .docs("6.2.0", "O(1)", "Returns information about the connection."),
        Command::quick("kill", -3, kill).flags(Flags::ADMIN).docs(
            "2.4.0",
            "O(N) where N is the number of client connections",
            "Terminates open connections.",
        ),
        Command::quick("list", -2, list).flags(Flags::ADMIN).docs(
            "2.4.0",
            "O(N) where N is the number of client connections",
            "Lists open connections.",
        ),
        Command::quick("no-evict", 3, |_, request| on_or_off(request))
            .flags(Flags::ADMIN)
            .docs("7.0.0", "O(1)", "Accepted, and without effect: no client is evicted."),
        Command::quick("no-touch", 3, |_, request| on_or_off(request))
            .docs("7.2.0", "O(1)", "Accepted, and without effect: no key is evicted."),
        Command::quick("pause", -3, pause).flags(Flags::ADMIN).docs(
            "3.0.0",
            "O(1)",
            "Suspends commands processing.",
        ),
        Command::quick("reply", 3, reply).docs(
            "3.2.0",
            "O(1)",
            "Instructs the server whether to reply to commands.",
        ),
        Command::quick("setinfo", 4, set_info).docs(
            "7.2.0",
            "O(1)",
            "Sets information specific to the client or connection.",
        ),
        Command::quick("setname", 3, |session, request| {
            check_name(request.get(2))?;
            session.client.rename(copied(request.get(2)));
            Ok(Reply::OK)
        })
        .docs("2.6.9", "O(1)", "Sets the connection name."),
        Command::quick("tracking", -3, |_, _| {
            Err("ERR tracking is not there: keys change by what other nodes do, of which a client would not be told in time".into())
        })
        .docs("6.0.0", "O(1)", "Refused: there is no tracking."),
        Command::quick("unblock", -3, unblock).flags(Flags::ADMIN).docs(
            "5.0.0",
            "O(N) where N is the number of client connections",
            "Unblocks a client blocked by a blocking command from a different connection.",
        ),
        Command::quick("unpause", 2, |session, _| {
            session.server.clients.unpause();
            Ok(Reply::OK)
        })
        .flags(Flags::ADMIN)
        .docs("6.2.0", "O(1)", "Resumes processing commands of paused clients."),
        Command::HELP,
    ],
)
.docs("2.4.0", "Depends on subcommand.", "A container for client connection commands.");

fn copied(bytes: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

fn on_or_off(request: &Request) -> Result<Reply, Refusal> {
    match is(request.get(2), "on") || is(request.get(2), "off") {
        true => Ok(Reply::OK),
        false => Err(Refusal::SYNTAX),
    }
}

fn reply(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let word = request.get(2);
    session.answering = if is(word, "on") {
        Answering::On
    } else if is(word, "off") {
        Answering::Off
    } else if is(word, "skip") {
        match session.answering {
            Answering::Off => Answering::Off,
            _ => Answering::SkipsNext,
        }
    } else {
        return Err(Refusal::SYNTAX);
    };
    Ok(Reply::OK)
}

fn set_info(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let (attribute, value) = (request.get(2), copied(request.get(3)));
    if !is(attribute, "lib-name") && !is(attribute, "lib-ver") {
        let attribute = String::from_utf8_lossy(attribute);
        return Err(format!("ERR Unrecognized option '{attribute}'").into());
    }
    if !value.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        let attribute = String::from_utf8_lossy(attribute).to_lowercase();
        return Err(format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        )
        .into());
    }
    session.client.say(|said| match is(attribute, "lib-name") {
        true => said.library = value,
        false => said.library_version = value,
    });
    Ok(Reply::OK)
}

fn pause(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let is_all = match request.len() {
        3 => true,
        4 if is(request.get(3), "all") => true,
        4 if is(request.get(3), "write") => false,
        _ => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
    };
    let ms = integer(request.get(2)).ok_or(Refusal::said(
        "ERR timeout is not an integer or out of range",
    ))?;
    let ms = u64::try_from(ms).map_err(|_| Refusal::said("ERR timeout is negative"))?;
    let until = Instant::now().checked_add(Duration::from_millis(ms));
    let until = until.ok_or(Refusal::said(
        "ERR timeout is not an integer or out of range",
    ))?;
    session.server.clients.pause(until, is_all);
    Ok(Reply::OK)
}

/// As a line of `CLIENT LIST`. What has no meaning here is as it is where there is none of it.
fn described(client: &Client) -> String {
    let said = client.said();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let subscriptions = client.subscriptions();
    let flags = match (subscriptions > 0, client.is_blocked()) {
        (true, true) => "Pb",
        (true, false) => "P",
        (false, true) => "b",
        (false, false) => "N",
    };
    let mut line = String::new();
    // Writing to a string does not fail.
    let _written = write!(
        line,
        "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={flags} db={} sub={subscriptions} psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} user=default redir=-1 resp=2 lib-name={} lib-ver={}",
        client.id,
        client.address,
        client.local,
        text(&said.name),
        client.since.elapsed().as_secs(),
        client.idle().as_secs(),
        client.database(),
        client.mail.bytes(),
        client.mail.bytes(),
        said.command,
        text(&said.library),
        text(&said.library_version),
    );
    line
}

/// Whether a client is of a type that `CLIENT LIST` and `CLIENT KILL` know; other nodes are no clients.
fn is_of_type(client: &Client, name: &[u8]) -> Result<bool, Refusal> {
    let subscribes = client.subscriptions() > 0;
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(!subscribes),
        b"pubsub" => Ok(subscribes),
        b"replica" | b"slave" | b"master" => Ok(false),
        _ => Err(format!(
            "ERR Unknown client type '{}'",
            String::from_utf8_lossy(name)
        )
        .into()),
    }
}

fn id(text: &[u8]) -> Result<u64, Refusal> {
    let id = integer(text).and_then(|id| u64::try_from(id).ok());
    let id = id.filter(|id| *id > 0);
    id.ok_or(Refusal::said("ERR client-id should be greater than 0"))
}

fn list(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let mut clients = session.server.clients.all();
    match request.len() {
        2 => {}
        4 if is(request.get(2), "type") => {
            is_of_type(&session.client, request.get(3))?;
            clients.retain(|client| is_of_type(client, request.get(3)).unwrap_or(false));
        }
        4.. if is(request.get(2), "id") => {
            let ids = request
                .from(3)
                .map(|text| id(text).map_err(|_| Refusal::said("ERR Invalid client ID")));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            clients.retain(|client| ids.contains(&client.id));
        }
        _ => return Err(Refusal::SYNTAX),
    }
    let mut lines = String::new();
    for client in clients {
        lines += &described(&client);
        lines.push('\n');
    }
    Ok(Reply::Verbatim(lines))
}

fn kill(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    if request.len() == 3 {
        let address = request.get(2);
        let clients = session.server.clients.all();
        let mut found = clients.iter();
        let found = found.find(|client| client.address.to_string().as_bytes() == address);
        return match found {
            Some(client) => {
                end(session, client);
                Ok(Reply::OK)
            }
            None => Err("ERR No such client".into()),
        };
    }
    if request.len() % 2 == 1 {
        return Err(Refusal::SYNTAX);
    }
    let mut clients = session.server.clients.all();
    let mut skips_me = true;
    for at in (2..request.len()).step_by(2) {
        let (what, value) = (request.get(at), request.get(at + 1));
        let text = String::from_utf8_lossy(value);
        match what.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = id(value)?;
                clients.retain(|client| client.id == id);
            }
            b"addr" => clients.retain(|client| client.address.to_string() == text),
            b"laddr" => clients.retain(|client| client.local.to_string() == text),
            b"type" => {
                is_of_type(&session.client, value)?;
                clients.retain(|client| is_of_type(client, value).unwrap_or(false));
            }
            b"user" if value == b"default" => {}
            b"user" => return Err(format!("ERR No such user '{text}'").into()),
            b"skipme" if is(value, "yes") => skips_me = true,
            b"skipme" if is(value, "no") => skips_me = false,
            _ => return Err(Refusal::SYNTAX),
        }
    }
    clients.retain(|client| !skips_me || client.id != session.client.id);
    clients.iter().for_each(|client| end(session, client));
    Ok(Reply::total(clients.len()))
}

fn unblock(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let how = match request.len() {
        3 => Unblock::AsIfOver,
        4 if is(request.get(3), "timeout") => Unblock::AsIfOver,
        4 if is(request.get(3), "error") => Unblock::WithError,
        4 => return Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into()),
        _ => {
            return Err("ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.".into());
        }
    };
    let id = integer(request.get(2)).ok_or(Refusal::NOT_INTEGER)?;
    let clients = session.server.clients.all();
    let mut found = clients.iter();
    let found = found.find(|client| i64::try_from(client.id) == Ok(id));
    let is_done = found.is_some_and(|client| client.unblock(how));
    Ok(Reply::Integer(i64::from(is_done)))
}

/// One that ends itself is told so first.
fn end(session: &mut Session, client: &Arc<Client>) {
    match client.id == session.client.id {
        true => session.is_ending = true,
        false => client.end(),
    }
}
