//! How a node stands to all others together, in a few numbers.

use super::status::MemberState;
use crate::error::Error;
use crate::node::Node;

/// How a node stands to the others, of all namespaces together; see [`Node::accord`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accord {
    /// The other members that are known, those included that are gone.
    pub peers: usize,
    /// How many of them are there.
    pub peers_up: usize,
    /// Whether all who are there hold the same in every namespace that they share with this node, by what they have said last. `None` if there is
    /// nobody, or somebody has said nothing yet.
    pub agrees: Option<bool>,
    /// Mutations of this node that the one lacks who is there and lacks the most, as far as is known.
    pub behind: u64,
    /// Mutations that this node lacks of the one who is there and of whom it lacks the most, as far as is known.
    pub ahead: u64,
}

impl Node {
    /// Whether the others agree with this node, and how far they are apart: [`Node::convergence`] in a few numbers, for a status line. It asks the task
    /// that keeps them and reads no store; O(n) in peers and namespaces (feature `net`).
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = syncline::Node::in_memory().await?;
    /// assert_eq!(node.accord().await?.agrees, None, "there is nobody");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`] after the node's shutdown.
    pub async fn accord(&self) -> Result<Accord, Error> {
        let (members, told) = (self.members().await?, self.convergence().await?);
        let is_up = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
        let mut accord = Accord {
            peers: members.len(),
            peers_up: members.iter().filter(|it| is_up(it.state)).count(),
            ..Accord::default()
        };
        let (mut heard, mut agreed, mut silent) = (0, 0, 0);
        let there = told.iter().flat_map(|it| &it.peers).filter(|it| it.is_up);
        for peer in there {
            match peer.heard {
                None => silent += 1,
                Some(_) => heard += 1,
            }
            agreed += usize::from(peer.heard.is_some() && peer.agrees);
            accord.behind = accord.behind.max(peer.behind.dots.unwrap_or(0));
            accord.ahead = accord.ahead.max(peer.ahead.dots.unwrap_or(0));
        }
        accord.agrees = match (heard - agreed, silent) {
            (1.., _) => Some(false),
            (0, 0) if heard > 0 => Some(true),
            (0, _) => None,
        };
        Ok(accord)
    }
}
