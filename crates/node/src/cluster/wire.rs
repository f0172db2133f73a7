//! What is said on links: one byte of kind, then what the machine of that kind writes.
//!
//! ```text
//! 0  membership: a packet of the membership protocol
//! 1  a rumour's message: the length of the namespace's name (one byte), the name, the message
//! 2  convergence: who holds what
//! 3  notices: what the authority tells all members
//! 4  a publication's message: as 1
//! ```

use syncline_gossip::convergence;
use syncline_gossip::publication::{self, PublicationError};
use syncline_gossip::{Message, MessageError};
use syncline_sync::quic::NodeId;

use crate::name::{NameError, check_name};

/// The greatest frame on a channel, in bytes. Whatever would be larger is not sent, and found by sessions.
pub(super) const MAX_FRAME: usize = 1 << 20;
/// The greatest payload of a rumour, in bytes; transactions beyond it travel in sessions alone.
pub(super) const MAX_RUMOUR: usize = 256 << 10;

/// A message on a link, read.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Membership(Vec<u8>),
    Rumour { namespace: String, message: Message },
    Convergence(Vec<u8>),
    Notices(Vec<u8>),
    Publication { namespace: String, message: Message },
}

/// Why bytes from a link say nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("an empty message")]
    Empty,
    #[error("a message of kind {0}, which this version does not know")]
    UnknownKind(u8),
    #[error("a message that ends in its namespace's name")]
    Short,
    #[error("a message of a namespace with no proper name: {0}")]
    Name(#[from] NameError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Publication(#[from] PublicationError),
}

mod kind {
    pub(super) const MEMBERSHIP: u8 = 0;
    pub(super) const RUMOUR: u8 = 1;
    pub(super) const CONVERGENCE: u8 = 2;
    pub(super) const NOTICES: u8 = 3;
    pub(super) const PUBLICATION: u8 = 4;
}

/// Membership in its envelope.
pub(super) fn membership(packet: &[u8]) -> Vec<u8> {
    [&[kind::MEMBERSHIP], packet].concat()
}

/// Convergence in its envelope.
pub(super) fn convergence(message: &[u8]) -> Vec<u8> {
    [&[kind::CONVERGENCE], message].concat()
}

/// Notices of the authority in their envelope.
pub(super) fn notices(notices: &[u8]) -> Vec<u8> {
    [&[kind::NOTICES], notices].concat()
}

/// The first namespace that a message in its envelope is about and that may not be carried: who says it and who hears it must both be allowed to
/// carry all of them. What cannot be read is told where it is read.
pub(super) fn foreign(bytes: &[u8], may_carry: impl Fn(&str) -> bool) -> Option<String> {
    let is_foreign = |name: &&str| !may_carry(name);
    match bytes {
        [kind::RUMOUR | kind::PUBLICATION, length, rest @ ..] => {
            let name = rest.get(..usize::from(*length))?;
            let name = std::str::from_utf8(name).ok().filter(is_foreign);
            name.map(str::to_owned)
        }
        [kind::CONVERGENCE, message @ ..] => {
            let message = convergence::Message::<NodeId>::from_bytes(message).ok()?;
            let name = message.namespaces().find(is_foreign);
            name.map(str::to_owned)
        }
        _ => None,
    }
}

/// A rumour's message in its envelope. Names are of at most 64 bytes.
pub(super) fn rumour(namespace: &str, message: &Message) -> Vec<u8> {
    of_namespace(kind::RUMOUR, namespace, message)
}

/// A message about publications in its envelope.
pub(super) fn publication(namespace: &str, message: &Message) -> Vec<u8> {
    of_namespace(kind::PUBLICATION, namespace, message)
}

fn of_namespace(kind: u8, namespace: &str, message: &Message) -> Vec<u8> {
    let length = u8::try_from(namespace.len()).expect("names of namespaces were checked");
    let mut bytes = vec![kind, length];
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.extend_from_slice(&message.to_bytes());
    bytes
}

/// Reads what a peer says.
pub(super) fn read(bytes: &[u8]) -> Result<Said, WireError> {
    let (kind, rest) = bytes.split_first().ok_or(WireError::Empty)?;
    match *kind {
        kind::MEMBERSHIP => Ok(Said::Membership(rest.to_vec())),
        kind::CONVERGENCE => Ok(Said::Convergence(rest.to_vec())),
        kind::NOTICES => Ok(Said::Notices(rest.to_vec())),
        kind::RUMOUR | kind::PUBLICATION => {
            let (length, rest) = rest.split_first().ok_or(WireError::Short)?;
            let (name, message) = rest
                .split_at_checked(usize::from(*length))
                .ok_or(WireError::Short)?;
            let namespace = String::from_utf8_lossy(name).into_owned();
            check_name(&namespace)?;
            let message = Message::from_bytes(message)?;
            if *kind == kind::RUMOUR {
                return Ok(Said::Rumour { namespace, message });
            }
            publication::check(&message)?;
            Ok(Said::Publication { namespace, message })
        }
        kind => Err(WireError::UnknownKind(kind)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use syncline_crdt::ReplicaId;
    use syncline_gossip::{Pushed, Rumour};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_its_bytes_are_fixed() {
        let bytes = rumour("app", &Message::Prune);
        assert_eq!(bytes[..5], *b"\x01\x03app");
        let said = Said::Rumour {
            namespace: "app".to_owned(),
            message: Message::Prune,
        };
        assert_eq!(read(&bytes).unwrap(), said);
        let bytes = publication("app", &Message::Prune);
        assert_eq!(bytes[..5], *b"\x04\x03app");
        let said = Said::Publication {
            namespace: "app".to_owned(),
            message: Message::Prune,
        };
        assert_eq!(read(&bytes).unwrap(), said);
        assert_eq!(membership(&[7, 8]), [0, 7, 8]);
        assert_eq!(read(&[0, 7, 8]).unwrap(), Said::Membership(vec![7, 8]));
        assert_eq!(convergence(&[7]), [2, 7]);
        assert_eq!(notices(&[7]), [3, 7]);
        assert_eq!(read(&[3, 7]).unwrap(), Said::Notices(vec![7]));
        assert_eq!(read(&[2, 7]).unwrap(), Said::Convergence(vec![7]));
    }

    #[test]
    fn a_message_is_about_namespaces_that_may_be_carried_or_not() {
        let nothing = |bytes: &[u8]| foreign(bytes, |_| false);
        let all_but_web = |bytes: &[u8]| foreign(bytes, |name| name != "web");
        let app = [
            rumour("app", &Message::Prune),
            publication("app", &Message::Prune),
            b"\x02\x04\x03app\x00".to_vec(),
        ];
        for bytes in app {
            assert_eq!(nothing(&bytes).as_deref(), Some("app"));
            assert_eq!(all_but_web(&bytes), None);
            assert_eq!(nothing(&bytes[..4]), None, "it cannot be read");
        }
        let both = [&b"\x02\x02\x02\x03app"[..], &[0; 8], b"\x03web", &[0; 8]];
        assert_eq!(all_but_web(&both.concat()).as_deref(), Some("web"));
        assert_eq!(nothing(b"\x00\x03app"), None, "membership is about none");
    }

    #[test]
    fn what_is_cut_or_strange_is_refused() {
        let bytes = rumour("app", &Message::Compare(7));
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        assert!(matches!(read(&[9]), Err(WireError::UnknownKind(9))));
        assert!(matches!(read(b"\x01\x01/"), Err(WireError::Name(_))));
        let replica = ReplicaId::from_bytes([7; 16]);
        let push = |payload: &[u8]| Message::Push {
            pushed: Pushed {
                rumour: Rumour::new(replica, 1, 1, payload.to_vec()).unwrap(),
                hops: 1,
            },
            asked: false,
        };
        assert!(read(&publication("app", &push(b"\x00\x01ab"))).is_ok());
        let strange = read(&publication("app", &push(b"\x02\x01ab")));
        assert!(matches!(strange, Err(WireError::Publication(_))));
    }
}
