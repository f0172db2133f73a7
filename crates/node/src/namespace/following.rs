//! What changes in a namespace, and what of it has arrived.

use std::time::Duration;

use crate::blocking;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::token::{Record, Recorded, Token};
use crate::watch::{Arrivals, Resume, Watch};

impl Namespace {
    /// What lies under keys that begin with `prefix`, and from then on whatever changes there, by whomever and wherever it
    /// was written. See [`Watch`].
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn watch(&self, prefix: impl AsRef<[u8]>) -> Result<Watch, Error> {
        self.watch_from(prefix, []).await
    }

    /// What has changed under a prefix since a [`Resume`] point, whose bytes somebody has kept, and from then on whatever
    /// changes. See [`Watch`].
    ///
    /// Bytes that do not fit, for whatever reason, make it begin anew as [`Namespace::watch`] does: when they are of another
    /// prefix or another node, when a power failure has taken back what they include, when a backup was restored, or when more was
    /// removed since than the namespace remembers. The first event says so.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn watch_from(
        &self,
        prefix: impl AsRef<[u8]>,
        resume: impl AsRef<[u8]>,
    ) -> Result<Watch, Error> {
        // What is wrong with the namespace shows here.
        drop(self.replica.open().await?);
        let (replica, registers) = (self.replica.clone(), self.registers.clone());
        let watch = Watch::new(replica, registers, self.durability, prefix.as_ref());
        Ok(watch.from(resume.as_ref()))
    }

    /// What comes from other nodes under a prefix, from now on, and nothing of what is written here. See [`Arrivals`].
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn arrivals(&self, prefix: impl AsRef<[u8]>) -> Result<Arrivals, Error> {
        let (replica, registers) = (self.replica.clone(), self.registers.clone());
        Arrivals::begin(replica, registers, prefix.as_ref()).await
    }

    /// The point from which a [watch](Namespace::watch_from) tells only what changes from now on.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn resume_from_now(&self, prefix: impl AsRef<[u8]>) -> Result<Resume, Error> {
        let prefix = prefix.as_ref().to_vec();
        let open = self.replica.open().await?;
        blocking(move || Ok(Resume::new(prefix, open.store.view()?.bookmark()))).await
    }

    /// The same namespace, with a record of what is written through it, and through the handles made of it: to read one's
    /// own writes on another node. See [`Recorded`].
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        let record = Record::default();
        Recorded::new(
            Self {
                record: Some(record.clone()),
                ..self.clone()
            },
            record,
        )
    }

    /// Names all that was written here since the namespace was opened, through whatever handle: more than a [`Recorded`] handle does, and at no cost for
    /// the writes. What of it was removed or overwritten it does not name: whoever [waits](Namespace::wait_for) for it has heard of the removals,
    /// which may yet have to reach their rows. To ask [who has it](Namespace::wait_replicated), that makes no difference.
    ///
    /// # Errors
    /// See [`Namespace`].
    pub async fn written(&self) -> Result<Token, Error> {
        let open = self.replica.open().await?;
        blocking(move || Ok(Token::up_to(open.store.group()?.last_dot()))).await
    }

    /// Waits until all that a token names can be read here. See [`Recorded`].
    ///
    /// It wakes with the commit that brings it, by a sync or otherwise, and sees to no sync itself.
    ///
    /// # Errors
    /// [`Error::NotArrived`] after the timeout; see also [`Namespace`].
    pub async fn wait_for(&self, token: &Token, timeout: Duration) -> Result<(), Error> {
        let arrived = tokio::time::timeout(timeout, token.arrival(&self.replica)).await;
        arrived.unwrap_or(Err(Error::NotArrived { timeout }))
    }
}
