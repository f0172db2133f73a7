use super::{Handle, owned};
use crate::error::Error;
use crate::namespace::Namespace;

/// The register under one key of a namespace: the raw value of the key, with its conflicts.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let motto = node.namespace("app")?.register("motto");
/// motto.set("merge, do not fork").await?;
/// assert_eq!(motto.get().await?.as_deref(), Some(&b"merge, do not fork"[..]));
/// assert_eq!(motto.siblings().await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Register(Handle);

impl Register {
    pub(crate) fn new(namespace: Namespace, key: Vec<u8>) -> Self {
        Self(Handle { namespace, key })
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// Writes a value in place of everything observed under the key, of whatever kind.
    ///
    /// # Errors
    /// [`Error::Store`] when key or value is over its limit, or the store fails.
    pub async fn set(&self, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let value = owned(value);
        let write = self.0.write(move |t, key| t.put(key, value));
        write.await
    }

    /// The value of the last writer; a number as its decimal digits.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when the key shows a map or a set, [`Error::NewerEncoding`] when a newer version wrote the
    /// value, [`Error::Conflict`] under [`Registers::AllSiblings`](crate::Registers::AllSiblings), and the errors of
    /// [`Namespace`] when the store fails.
    pub async fn get(&self) -> Result<Option<Vec<u8>>, Error> {
        self.0.read(|view, key| view.get(key)).await
    }

    /// All values that were written without knowledge of each other, the last writer's first.
    ///
    /// # Errors
    /// As [`Register::get`], but never [`Error::Conflict`].
    pub async fn siblings(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.0.read(|view, key| view.register(key).siblings()).await
    }

    /// Removes the value; whether there was one.
    ///
    /// # Errors
    /// As [`Register::get`].
    pub async fn clear(&self) -> Result<bool, Error> {
        self.0.write(|t, key| t.register(key).clear()).await
    }
}
