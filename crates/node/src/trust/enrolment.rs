//! What is said in a petition: a request for a certificate, and the answer with all that makes a member, or with why not.
//!
//! The key never leaves the one who asks. See [`Token`](super::Token) for how the two sides come to trust each other.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The request. Both hold a request for a certificate, PKCS#10 as DER.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// To become a member, by an invitation.
    Join(Vec<u8>),
    /// To have the own certificate renewed, over the same key.
    Renew(Vec<u8>),
}

/// The answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Refused(Refusal),
    Joined(Joined),
    Renewed(Papers),
}

/// What a member gets again and again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Papers {
    /// Its certificate, as PEM, followed by those between it and the authority.
    pub(super) certificate: String,
    /// Those of the authorities, as PEM, the newest first.
    pub(super) authorities: String,
    /// The notices that are in force.
    pub(super) notices: Vec<u8>,
}

/// What a member gets once.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joined {
    pub(super) papers: Papers,
    pub(super) secret: [u8; 32],
    /// The namespaces that it may carry, by name; its certificate has them as tags.
    pub(super) namespaces: Option<Vec<String>>,
}

/// Why a petition was turned down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request cannot be read, or its signature is wrong.
    #[error("the request makes no sense there; bring both sides to compatible versions")]
    Malformed,
    /// There is no such invitation.
    #[error("there is no such invitation; ask for another with `syncline cluster invite`")]
    Unknown,
    /// The invitation was good until this time, Unix seconds.
    #[error(
        "the invitation has expired; ask for another with `syncline cluster invite`, or correct a clock"
    )]
    Expired(u64),
    /// Another node has used the invitation.
    #[error(
        "the invitation was used by another node; ask for another with `syncline cluster invite`, and revoke that node if nobody knows it"
    )]
    Used,
    /// A member asks for what guests ask for, or the other way round, or over another key than its own.
    #[error(
        "that is not for this node to ask; enrol with an invitation, renew with the key that is certified"
    )]
    NotYours,
    /// The one who decides could not do its part.
    #[error("the node that decides could not do its part; its log says why. Try again later")]
    Failed,
    /// The key is that of a node that was revoked.
    #[error("the node's key was revoked; join under another")]
    Revoked,
}

/// Encodes a message.
pub(super) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_allocvec(message).expect("a vector takes whatever is put into it")
}

/// Decodes all of a message.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What goes over the wire, byte by byte.
    #[test]
    fn golden() {
        let papers = || Papers {
            certificate: "c".to_owned(),
            authorities: "a".to_owned(),
            notices: vec![9],
        };
        let joined = Joined {
            papers: papers(),
            secret: [7; 32],
            namespaces: Some(vec!["app".to_owned()]),
        };
        assert_eq!(encode(&Ask::Join(vec![1, 2])), [0, 2, 1, 2]);
        assert_eq!(encode(&Ask::Renew(vec![3])), [1, 1, 3]);
        assert_eq!(encode(&Answer::Refused(Refusal::Used)), [0, 3]);
        assert_eq!(encode(&Answer::Refused(Refusal::Revoked)), [0, 6]);
        assert_eq!(
            encode(&Answer::Refused(Refusal::Expired(300))),
            [0, 2, 0xac, 2]
        );
        let mut bytes = vec![1, 1, b'c', 1, b'a', 1, 9];
        bytes.extend([7; 32]);
        bytes.extend([1, 1, 3, b'a', b'p', b'p']);
        let answer = Answer::Joined(joined);
        assert_eq!(encode(&answer), bytes);
        assert_eq!(decode::<Answer>(&bytes).unwrap(), answer);
        assert_eq!(
            encode(&Answer::Renewed(papers())),
            [2, 1, b'c', 1, b'a', 1, 9]
        );
    }

    #[test]
    fn nothing_but_a_whole_message_is_read() {
        let bytes = encode(&Ask::Join(vec![1, 2, 3]));
        for cut in 0..bytes.len() {
            assert!(decode::<Ask>(&bytes[..cut]).is_none());
        }
        assert!(decode::<Ask>(&[&bytes[..], &[0]].concat()).is_none());
        assert!(decode::<Ask>(&[2, 0]).is_none());
        assert!(decode::<Answer>(&[0xff; 100]).is_none());
    }
}
