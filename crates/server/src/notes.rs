//! What happened to keys: noted by the commands that write, told to whoever listens once it is committed.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;

/// What an event is of, as `notify-keyspace-events` tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Keys of all kinds: `del`, `expire`, `rename_from`.
    Generic,
    String,
    Set,
    Hash,
    SortedSet,
    /// A deadline that has passed.
    Expired,
}

impl Class {
    /// The class of a letter of `notify-keyspace-events`.
    pub(crate) const fn of(letter: u8) -> Option<Self> {
        Some(match letter {
            b'g' => Self::Generic,
            b'$' => Self::String,
            b's' => Self::Set,
            b'h' => Self::Hash,
            b'z' => Self::SortedSet,
            b'x' => Self::Expired,
            _ => return None,
        })
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) class: Class,
    /// As Redis calls it.
    pub(crate) name: &'static str,
    pub(crate) key: Bytes,
}

/// What a transaction has done so far, if anybody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    wanted: u16,
    events: Vec<Event>,
}

impl Notes {
    /// Whether anybody wants to know of these.
    pub(crate) const fn wants(&self, class: Class) -> bool {
        self.wanted & class.bit() != 0
    }

    pub(crate) fn add(&mut self, class: Class, name: &'static str, key: &[u8]) {
        if self.wants(class) {
            let key = Bytes::copy_from_slice(key);
            self.events.push(Event { class, name, key });
        }
    }
}

/// Is told what happened in a database.
pub(crate) type Listener = Box<dyn Fn(u8, &Event) + Send + Sync>;

/// Who listens to events, and to which. Nobody does at first, and then an event costs nothing.
#[derive(Default)]
pub(crate) struct Events {
    /// A bit for each class.
    wanted: AtomicU16,
    listener: OnceLock<Listener>,
}

impl Events {
    /// Has a listener told of what is committed from now on. There is one for good; `false` if there was one already.
    pub(crate) fn listen(&self, listener: Listener) -> bool {
        self.listener.set(listener).is_ok()
    }

    /// Which classes the listener is to be told of: in what begins after this.
    pub(crate) fn want(&self, classes: impl IntoIterator<Item = Class>) {
        let wanted = classes
            .into_iter()
            .fold(0, |bits, class| bits | class.bit());
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// For a transaction to write down what it does.
    pub(crate) fn notes(&self) -> Notes {
        Notes {
            wanted: self.wanted.load(Ordering::Relaxed),
            events: Vec::new(),
        }
    }

    /// Tells what a transaction did, which is committed.
    pub(crate) fn announce(&self, database: u8, notes: Notes) {
        if let Some(listener) = self.listener.get() {
            for event in &notes.events {
                listener(database, event);
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_listener_is_told_what_it_wants_and_in_order() {
        let events = Events::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        assert!(events.listen(Box::new(move |database, event| {
            let event = (database, event.name, event.key.clone());
            hears.lock().unwrap().push(event);
        })));
        let happen = || {
            let mut notes = events.notes();
            notes.add(Class::String, "set", b"a");
            notes.add(Class::Generic, "expire", b"a");
            notes.add(Class::String, "append", b"b");
            events.announce(3, notes);
        };
        happen();
        assert!(told.lock().unwrap().is_empty(), "nobody has asked");
        events.want(Class::of(b'$'));
        happen();
        let wanted = [(3, "set", "a".into()), (3, "append", "b".into())];
        assert_eq!(*told.lock().unwrap(), wanted);
    }
}
