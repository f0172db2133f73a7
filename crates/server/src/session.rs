//! What a client has said so far that its next request depends on.

use std::pin::Pin;
use std::sync::Arc;

use syncline::{Namespace, Recorded};

use crate::client::Client;
use crate::commands::transactions::Watched;
use crate::pubsub::Subscriptions;
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};
use crate::request::Request;
use crate::server::Shared;
use crate::table::Command;
use crate::waiting::Waiting;

/// What a command comes to that has to wait for something.
pub(crate) type Done<'s> = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 's>>;

/// A client's session.
pub(crate) struct Session {
    pub(crate) server: Arc<Shared>,
    pub(crate) client: Arc<Client>,
    pub(crate) protocol: Protocol,
    /// The database that is selected.
    pub(crate) database: u8,
    /// Its namespace, once it was used.
    namespace: Option<Namespace>,
    /// The same, recording what this client writes there, since it has asked for that. Not all clients' are: a record grows with what it names.
    recorded: Option<Recorded>,
    /// Whether this client has asked for anything that writes.
    pub(crate) has_written: bool,
    /// Whether the password was said, or there is none.
    pub(crate) is_trusted: bool,
    /// What waits for `EXEC`.
    pub(crate) queued: Option<Queued>,
    /// What must not change until `EXEC`.
    pub(crate) watched: Vec<Watched>,
    pub(crate) answering: Answering,
    pub(crate) subscriptions: Subscriptions,
    /// What it waits for before anything else is executed.
    pub(crate) waiting: Option<Waiting>,
    /// Whether the connection is to be closed after the replies so far.
    pub(crate) is_ending: bool,
}

/// What came after `MULTI`.
#[derive(Default)]
pub(crate) struct Queued {
    pub(crate) commands: Vec<(&'static Command, Request)>,
    /// In bytes.
    pub(crate) size: usize,
    /// Whether something was refused already.
    pub(crate) is_spoilt: bool,
}

/// Whether the client wants replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answering {
    #[default]
    On,
    Off,
    /// Not to this request: it has just said so.
    SkipsNext,
    /// Nor to the one after it.
    Skips,
}

impl Session {
    pub(crate) fn new(server: Arc<Shared>, client: Arc<Client>) -> Self {
        Self {
            is_trusted: server.settings.password().is_none(),
            server,
            client,
            protocol: Protocol::default(),
            database: 0,
            namespace: None,
            recorded: None,
            has_written: false,
            queued: None,
            watched: Vec::new(),
            answering: Answering::On,
            subscriptions: Subscriptions::default(),
            waiting: None,
            is_ending: false,
        }
    }

    /// The namespace of the database that is selected.
    pub(crate) fn namespace(&mut self) -> Result<Namespace, Refusal> {
        if let Some(namespace) = &self.namespace {
            return Ok(namespace.clone());
        }
        let namespace = self.server.namespace(self.database)?;
        Ok(self.namespace.insert(namespace).clone())
    }

    /// Records what this client writes in the database that is selected, from the first call on.
    pub(crate) fn record(&mut self) -> Result<&Recorded, Refusal> {
        let namespace = self.namespace()?;
        let recorded = self.recorded.get_or_insert_with(|| namespace.recorded());
        self.namespace = Some((**recorded).clone());
        Ok(recorded)
    }

    /// What was recorded so far, if anything is.
    pub(crate) const fn recorded(&self) -> Option<&Recorded> {
        self.recorded.as_ref()
    }

    pub(crate) fn select(&mut self, database: u8) {
        if database != self.database {
            self.database = database;
            (self.namespace, self.recorded) = (None, None);
            self.client.select(database);
        }
    }

    /// As if it had just connected, the password aside.
    pub(crate) fn reset(&mut self) {
        self.queued = None;
        self.watched.clear();
        self.leave_channels();
        self.select(0);
        self.protocol = Protocol::default();
        self.answering = Answering::On;
        self.is_trusted = self.server.settings.password().is_none();
        self.client.rename(bytes::Bytes::new());
    }

    /// Whether it may ask for little else than subscriptions: in the older protocol replies cannot be told from messages.
    pub(crate) fn is_subscriber(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.subscriptions.total() > 0
    }

    /// Has no subscriptions any more.
    pub(crate) fn leave_channels(&mut self) {
        let subscriptions = std::mem::take(&mut self.subscriptions);
        self.server.pubsub.leave(&subscriptions, self.client.id);
        self.client.subscribed(0);
    }

    /// Writes what waits for the client that it has not asked for.
    pub(crate) fn deliver(&self, out: &mut Vec<u8>) {
        for letter in self.client.mail.take() {
            letter.write(self.protocol, out);
        }
    }

    /// Writes a reply, unless the client wants none.
    pub(crate) fn answer(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        self.answering = match self.answering {
            Answering::On => {
                reply.write(self.protocol, out);
                Answering::On
            }
            Answering::Off => Answering::Off,
            Answering::SkipsNext => Answering::Skips,
            Answering::Skips => Answering::On,
        };
    }
}
