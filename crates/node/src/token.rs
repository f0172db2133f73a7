//! Reading one's own writes on another node.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use syncline_crdt::{Canonical, Context, Delta, Dot, Input};
#[cfg(feature = "net")]
use syncline_gossip::convergence::Write;
use syncline_store::{RangeDelta, Signal};

use crate::blocking;
use crate::core::lock;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::replica::Replica;

/// Names writes, so that another node can [wait for](Namespace::wait_for) them. Made by [`Recorded::token`].
///
/// It is told in text by `to_string` and `parse`, of some 50 to 100 characters for a few writes of one node, and says nothing about
/// what was written. One that removed or overwrote very many values of many nodes is longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// The values that were written.
    live: Context,
    /// The values that were removed or overwritten, and what removed them. That a replica has seen a removal does not say that
    /// it has reached its row, so these are looked for.
    dead: Context,
}

/// Where handles note what they have written.
pub(crate) type Record = Arc<Mutex<Token>>;

impl Token {
    /// What a chunk of a removal of a range has done.
    pub(crate) fn of_range(delta: &RangeDelta) -> Self {
        let mut token = Self::of(&delta.rows);
        token.dead.merge(&delta.removal.dots);
        token
    }

    /// All that an opening of a store has made, up to this.
    pub(crate) fn up_to(last: Option<Dot>) -> Self {
        let mut live = Context::new();
        if let Some(last) = last {
            live.insert_range(last.replica, 1, last.counter);
        }
        Self {
            live,
            dead: Context::new(),
        }
    }

    pub(crate) fn of(delta: &Delta) -> Self {
        let live: Context = delta.rows().flat_map(|(_, row)| row.dots()).collect();
        let dead = delta.context().difference(&live);
        Self { live, dead }
    }

    /// Names what was written later, too.
    pub(crate) fn add(&mut self, later: &Self) {
        /// Dots that are taken out one by one, so that a long record costs no more per write than a short one.
        const FEW: u128 = 1024;
        self.live.merge(&later.live);
        self.dead.merge(&later.dead);
        if later.dead.len() > FEW {
            self.live = self.live.difference(&self.dead);
            return;
        }
        for (replica, first, last) in later.dead.intervals() {
            for counter in first..=last {
                self.live.remove(Dot::new(replica, counter));
            }
        }
    }

    /// As carriers are asked for it; nothing if it is too long for that.
    #[cfg(feature = "net")]
    pub(crate) fn write(&self) -> Option<Write> {
        Write::new(self.live.clone(), self.dead.clone())
    }

    /// All dots that it names.
    #[cfg(feature = "net")]
    pub(crate) fn dots(&self) -> Context {
        let mut dots = self.live.clone();
        dots.merge(&self.dead);
        dots
    }

    #[cfg(feature = "net")]
    pub(crate) fn of_write(write: &Write) -> Self {
        Self {
            live: write.live().clone(),
            dead: write.dead().clone(),
        }
    }

    /// Waits until a replica shows all of it.
    pub(crate) async fn arrival(&self, replica: &Replica) -> Result<(), Error> {
        let mut seen = self.live.clone();
        seen.merge(&self.dead);
        if seen.is_empty() {
            return Ok(());
        }
        let (seen, dead) = (Arc::new(seen), Arc::new(self.dead.clone()));
        let mut after = 0;
        loop {
            // While it waits, it does not keep the replica open.
            let open = replica.open().await?;
            let arrival = open.store.arrival(Arc::clone(&seen), after);
            drop(open);
            if arrival.await == Signal::Closed {
                continue;
            }
            let (open, dead) = (replica.open().await?, Arc::clone(&dead));
            let shown = blocking(move || {
                let view = open.store.view()?;
                let others = view.context().difference(&dead);
                let none_lives = view.live_outside(&others, 0)?.is_some();
                Ok((none_lives, view.commit()))
            });
            match shown.await? {
                (true, _) => return Ok(()),
                (false, commit) => after = commit,
            }
        }
    }
}

/// A namespace with a record of what is written through it: made by [`Namespace::recorded`].
///
/// Whatever can be done with a [`Namespace`] can be done with it. What it records is what it wrote itself, and the handles made of
/// it; each user's session can have its own.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # let cluster = syncline::testing::cluster(2).await?;
/// # let [here, elsewhere] = [0, 1].map(|node| cluster[node].clone());
/// let session = here.namespace("shop")?.recorded();
/// session.set("cart").insert("tea").await?;
/// session.counter("visits").increment().await?;
/// let token = session.token().to_string(); // goes to the user, say in a cookie
///
/// // The user's next request comes to another node.
/// let shop = elsewhere.namespace("shop")?;
/// # let sync = { let (shop, here) = (shop.clone(), here.clone()); tokio::spawn(async move { shop.sync_with(&here).await }) };
/// shop.wait_for(&token.parse()?, Duration::from_secs(5)).await?;
/// assert!(shop.set("cart").contains("tea").await?);
/// # sync.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recorded {
    namespace: Namespace,
    record: Record,
}

impl Recorded {
    pub(crate) fn new(namespace: Namespace, record: Record) -> Self {
        Self { namespace, record }
    }

    /// Names all that was written and acknowledged so far.
    pub fn token(&self) -> Token {
        lock(&self.record).clone()
    }
}

impl Deref for Recorded {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

const VERSION: u8 = 1;

/// In hexadecimal: the byte 1, and the dots that are live and those that are dead, as contexts.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        self.live.encode(&mut bytes);
        self.dead.encode(&mut bytes);
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why text is not a [`Token`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a token of syncline, or one of a newer version; pass it on as it was printed")]
pub struct TokenError;

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digits = text.as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect();
        let read = |bytes: &[u8]| {
            let mut input = Input::new(bytes);
            let version = input.byte()?;
            let token = Self {
                live: Context::decode(&mut input)?,
                dead: Context::decode(&mut input)?,
            };
            input.finish()?;
            Ok::<_, syncline_crdt::DecodeError>((version, token))
        };
        match bytes.as_deref().map(read) {
            Some(Ok((VERSION, token))) => Ok(token),
            _ => Err(TokenError),
        }
    }
}
