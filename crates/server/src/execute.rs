//! Requests that have come together, executed as cheaply as their order allows.
//!
//! Neighbours that only read share a view, which is read on the spot. Neighbours that write are handed to the namespace's writer
//! together; each is a transaction of its own, and what comes after them sees them.
//!
//! However many are asked for at once, no more replies are held than [`REPLIES`], and one: what is left waits until those are sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use syncline::ops::{Key, ReadRows};
use syncline::{Error, Namespace, Transaction, View};

use crate::notes::{Class, Notes};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::Shared;
pub(crate) use crate::session::Session;
use crate::table::{self, Command, Flags, Run};

/// Requests executed together at most.
const TOGETHER: usize = 512;
/// Replies held back at most, in bytes, before they are sent.
pub(crate) const REPLIES: usize = 256 * 1024;
/// What may wait for `EXEC`, in bytes; and what it may come to.
pub(crate) const MAX_QUEUED: usize = 1 << 30;

/// Rows to be read by a command.
pub(crate) struct Reads<'a> {
    pub(crate) rows: &'a dyn ReadRows,
    /// The view that they are of; `None` within a transaction.
    pub(crate) view: Option<&'a View>,
    pub(crate) server: &'a Shared,
    pub(crate) database: u8,
}

/// Rows to be read and written by a command.
pub(crate) struct Writes<'a, 't> {
    pub(crate) rows: &'a mut Transaction<'t>,
    pub(crate) server: &'a Shared,
    pub(crate) database: u8,
    notes: Notes,
}

impl<'a, 't> Writes<'a, 't> {
    pub(crate) fn new(rows: &'a mut Transaction<'t>, server: &'a Shared, database: u8) -> Self {
        Self {
            rows,
            server,
            database,
            notes: server.events.notes(),
        }
    }

    /// Notes that something was done to a key, by the name that Redis has for it. Whoever listens is told when the transaction is committed.
    pub(crate) fn note(&mut self, class: Class, name: &'static str, key: &[u8]) {
        self.notes.add(class, name, key);
    }

    /// Notes that a key is gone, if it is: after something was taken out of it.
    pub(crate) fn note_if_gone(&mut self, key: &[u8]) -> Result<(), Refusal> {
        if self.notes.wants(Class::Generic) && Key::of(&*self.rows, key).kind()?.is_none() {
            self.note(Class::Generic, "del", key);
        }
        Ok(())
    }

    /// What was noted, to be announced.
    pub(crate) fn into_notes(self) -> Notes {
        self.notes
    }

    /// The same rows, to be read.
    pub(crate) fn reads(&self) -> Reads<'_> {
        Reads {
            rows: &*self.rows,
            view: None,
            server: self.server,
            database: self.database,
        }
    }
}

type Planned = (&'static Command, Request);

/// Executes requests in their order, until that is all, their replies are to be sent, or one has to be waited for ([`Session::waiting`]).
pub(crate) async fn execute(
    session: &mut Session,
    requests: &mut VecDeque<Request>,
    out: &mut Vec<u8>,
) {
    while out.len() < REPLIES
        && let Some(request) = requests.pop_front()
    {
        if session.is_ending {
            requests.clear();
            return;
        }
        let command = match session.admit(&request) {
            Ok(command) => command,
            Err(reply) => {
                session.answer(&reply, out);
                continue;
            }
        };
        if command.is(Flags::BLOCKING) && !out.is_empty() {
            // Whoever waits has had the replies before.
            requests.push_front(request);
            return;
        }
        let entry = command.entry();
        session.client.asks(&entry.name);
        let writes = command.is(Flags::WRITE) || command.name == "exec";
        session.has_written |= writes;
        // Whoever is to end a pause must not wait for its end.
        if !entry.name.starts_with("client") {
            session.server.clients.turn(writes).await;
        }
        let is_alike = |other: &Run| match command.run {
            Run::Read(_) => matches!(other, Run::Read(_)),
            Run::Write(_) => matches!(other, Run::Write(_)),
            _ => false,
        };
        let mut together = VecDeque::from([(command, request)]);
        if session.may_share(command) {
            while together.len() < TOGETHER
                && let Some(next) = requests.front()
                && let Ok(command) = session.admit(next)
                && is_alike(&command.run)
                && session.may_share(command)
                && let Some(next) = requests.pop_front()
            {
                together.push_back((command, next));
            }
        }
        run(session, &mut together, out).await;
        for (_, left) in together.into_iter().rev() {
            requests.push_front(left);
        }
        if session.waiting.is_some() {
            return;
        }
    }
}

impl Session {
    /// The command of a request, if it is one and this client may ask for it now. What waits for `EXEC` is queued.
    fn admit(&mut self, request: &Request) -> Result<&'static Command, Reply> {
        let found = self.find(request);
        match (&mut self.queued, found) {
            (Some(queued), Err(refused)) => {
                queued.is_spoilt = true;
                Err(refused)
            }
            (Some(_), Ok(command)) if !command.is(Flags::NO_MULTI) => {
                Err(self.queue(command, request))
            }
            (_, found) => found,
        }
    }

    fn find(&self, request: &Request) -> Result<&'static Command, Reply> {
        let Some(mut command) = table::find(request.get(0)) else {
            return Err(unknown(request));
        };
        let whole = command.name;
        if !command.parts().is_empty() && request.len() > 1 {
            let word = request.get(1);
            match table::part(command, word) {
                Some(part) => command = part,
                None => return Err(unknown_part(command, word)),
            }
        }
        if !command.admits(request.len()) {
            let refusal = match command.name == whole {
                true => Refusal::arity(whole),
                false => Refusal::arity(&format!("{whole}|{}", command.name)),
            };
            return Err(refusal.reply());
        }
        if !self.is_trusted && !command.is(Flags::NO_AUTH) {
            return Err(Reply::error("NOAUTH Authentication required."));
        }
        if self.is_subscriber() && !command.is(Flags::SUBSCRIBED) {
            return Err(Reply::Error(
                format!(
                    "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                    command.entry().name
                )
                .into(),
            ));
        }
        Ok(command)
    }

    fn queue(&mut self, command: &'static Command, request: &Request) -> Reply {
        let Some(queued) = &mut self.queued else {
            return Reply::OK;
        };
        if matches!(command.run, Run::Session(_)) {
            queued.is_spoilt = true;
            return Reply::error("ERR Command not allowed inside a transaction");
        }
        if queued.size + request.size() > MAX_QUEUED {
            queued.is_spoilt = true;
            return Reply::error("ERR the transaction is over the limit of the server");
        }
        queued.size += request.size();
        queued.commands.push((command, request.clone()));
        Reply::Simple("QUEUED".into())
    }

    fn may_share(&self, command: &Command) -> bool {
        self.queued.is_none() && !command.is(Flags::SLOW)
    }
}

/// Executes requests that go together, and leaves those whose turn comes after the replies so far are sent.
async fn run(session: &mut Session, together: &mut VecDeque<Planned>, out: &mut Vec<u8>) {
    let Some(&(first, _)) = together.front() else {
        return;
    };
    let done = match first.run {
        Run::Read(_) if first.is(Flags::SLOW) => read_apart(session, together, out).await,
        Run::Read(_) => read(session, together, out).await,
        Run::Write(_) => write(session, together, out).await,
        _ => {
            ask_session(session, together, out).await;
            Ok(())
        }
    };
    if let Err(refusal) = done {
        // None of them could be executed.
        let reply = refusal.reply();
        for _ in together.drain(..) {
            session.answer(&reply, out);
        }
    }
}

/// What the session itself does.
async fn ask_session(session: &mut Session, together: &mut VecDeque<Planned>, out: &mut Vec<u8>) {
    let Some((command, request)) = together.pop_front() else {
        return;
    };
    let server = session.server.clone();
    let began = server.stats.begin();
    let done = match command.run {
        Run::Session(run) | Run::Both { alone: run, .. } => run(session, request.clone()).await,
        run => match run.quick() {
            Some(run) => run(session, &request),
            None => Err(Refusal::SYNTAX),
        },
    };
    let reply = done.unwrap_or_else(|refusal| refusal.reply());
    server.stats.end(command, &request, reply.is_error(), began);
    // Who waits is answered later.
    if session.waiting.is_none() {
        session.answer(&reply, out);
    }
}

async fn read(
    session: &mut Session,
    together: &mut VecDeque<Planned>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let namespace = session.namespace()?;
    let (server, database) = (session.server.clone(), session.database);
    while out.len() < REPLIES && !together.is_empty() {
        let before = together.len();
        // A damaged row is withdrawn behind the error; then what is left goes on.
        let read = namespace.read_here(|view| {
            while out.len() < REPLIES
                && let Some((command, request)) = together.pop_front()
            {
                let reply = read_one(view, &server, database, command, &request)?;
                session.answer(&reply, out);
            }
            Ok(())
        });
        if let Err(error) = read.await {
            // Where nothing could be read at all, the next one will find the same.
            if together.len() == before {
                together.pop_front();
            }
            session.answer(&Refusal::Store(error).reply(), out);
        }
    }
    Ok(())
}

/// Reads what takes long on a thread that may.
async fn read_apart(
    session: &mut Session,
    together: &mut VecDeque<Planned>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let namespace = session.namespace()?;
    let (server, database) = (session.server.clone(), session.database);
    if let Some((command, request)) = together.pop_front() {
        let read = namespace.read(move |view| read_one(view, &server, database, command, &request));
        let reply = read
            .await
            .unwrap_or_else(|error| Refusal::Store(error).reply());
        session.answer(&reply, out);
    }
    Ok(())
}

/// What a command reads; an error if the store failed.
fn read_one(
    view: &View,
    server: &Shared,
    database: u8,
    command: &'static Command,
    request: &Request,
) -> Result<Reply, Error> {
    let began = server.stats.begin();
    let reads = Reads {
        rows: view,
        view: Some(view),
        server,
        database,
    };
    let done = match command.run {
        Run::Read(run) => run(&reads, request),
        _ => Err(Refusal::SYNTAX),
    };
    let reply = match done {
        Ok(reply) => reply,
        Err(Refusal::Store(error)) if !Refusal::is_harmless_error(&error) => return Err(error),
        Err(refusal) => refusal.reply(),
    };
    server.stats.end(command, request, reply.is_error(), began);
    Ok(reply)
}

async fn write(
    session: &mut Session,
    together: &mut VecDeque<Planned>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let namespace = session.namespace()?;
    let database = session.database;
    let count = together.len();
    // Some writes answer with what was there before.
    let held = Arc::new(AtomicUsize::new(out.len()));
    let bodies = together.drain(..).map(|(command, request)| {
        let (server, held) = (session.server.clone(), held.clone());
        move |rows: &mut Transaction<'_>| {
            if held.load(Ordering::Relaxed) >= REPLIES {
                return Ok(Written::NotYet(command, request));
            }
            let began = server.stats.begin();
            let mut writes = Writes::new(rows, &server, database);
            let done = write_one(&mut writes, command, &request);
            let notes = writes.into_notes();
            let has_failed = done.as_ref().map_or(true, Reply::is_error);
            server.stats.end(command, &request, has_failed, began);
            // Whatever it has written goes with a refusal.
            let reply = done.map_err(Refusal::into_error)?;
            held.fetch_add(reply.size(), Ordering::Relaxed);
            Ok(Written::Done(reply, notes))
        }
    });
    let done = match namespace.transactions(bodies.collect()).await {
        Ok(done) => done,
        Err(error) => {
            let reply = Refusal::Store(error).reply();
            (0..count).for_each(|_| session.answer(&reply, out));
            return Ok(());
        }
    };
    for done in done {
        match done {
            Ok(Written::Done(reply, notes)) => {
                session.server.events.announce(database, notes);
                session.answer(&reply, out);
            }
            Ok(Written::NotYet(command, request)) => together.push_back((command, request)),
            Err(error) => session.answer(&Refusal::Store(error).reply(), out),
        }
    }
    Ok(())
}

/// What became of a request that writes.
enum Written {
    Done(Reply, Notes),
    /// The replies before it are to be sent first.
    NotYet(&'static Command, Request),
}

impl Session {
    /// Writes in one transaction of the database that is selected, and announces what was noted there.
    pub(crate) async fn transact<T, F>(&mut self, body: F) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Writes<'_, '_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let namespace = self.namespace()?;
        transact(&self.server, &namespace, self.database, body).await
    }
}

/// Writes in one transaction of a database, and announces what was noted there.
pub(crate) async fn transact<T, F>(
    server: &Arc<Shared>,
    namespace: &Namespace,
    database: u8,
    body: F,
) -> Result<T, Refusal>
where
    F: FnOnce(&mut Writes<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    T: Send + 'static,
{
    let shared = server.clone();
    let done = namespace.transaction(move |rows: &mut Transaction<'_>| {
        let mut writes = Writes::new(rows, &shared, database);
        let done = body(&mut writes).map_err(Refusal::into_error)?;
        Ok((done, writes.into_notes()))
    });
    let (done, notes) = done.await?;
    server.events.announce(database, notes);
    Ok(done)
}

/// Executes one command in a transaction, of its own or of several.
pub(crate) fn write_one(
    writes: &mut Writes<'_, '_>,
    command: &'static Command,
    request: &Request,
) -> Result<Reply, Refusal> {
    match command.run {
        Run::Read(run) => run(&writes.reads(), request),
        Run::Write(run) | Run::Both { within: run, .. } => run(writes, request),
        Run::Quick(_) | Run::Session(_) | Run::Parts(..) => Err(Refusal::SYNTAX),
    }
}

/// As Redis says it, with a part of the arguments.
fn unknown(request: &Request) -> Reply {
    const SHOWN: usize = 128;
    let name = &request.get(0)[..request.get(0).len().min(SHOWN)];
    let mut arguments = String::new();
    for argument in request.from(1) {
        if arguments.len() >= SHOWN {
            break;
        }
        let argument = &argument[..argument.len().min(SHOWN - arguments.len())];
        arguments.push_str(&format!("'{}' ", String::from_utf8_lossy(argument)));
    }
    let name = String::from_utf8_lossy(name);
    Reply::Error(
        format!("ERR unknown command '{name}', with args beginning with: {arguments}").into(),
    )
}

fn unknown_part(command: &Command, word: &[u8]) -> Reply {
    let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
    let name = command.name.to_ascii_uppercase();
    Reply::Error(format!("ERR unknown subcommand '{word}'. Try {name} HELP.").into())
}

#[cfg(test)]
pub(crate) mod tests;
