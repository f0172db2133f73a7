use super::Handle;
use crate::error::Error;
use crate::namespace::Namespace;

/// The counter under one key of a namespace: the raw value of the key, as a number.
///
/// Additions made anywhere all count. Every method fails with [`Error::NotANumber`] when the value is text, with
/// [`Error::WrongKind`] when the key shows a map or a set, and with the errors of [`Namespace`] when the store fails.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// let visits = node.namespace("app")?.counter("visits");
/// assert_eq!(visits.increment().await?, 1);
/// assert_eq!(visits.add(41).await?, 42);
/// assert_eq!(visits.value().await?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Counter(Handle);

impl Counter {
    pub(crate) fn new(namespace: Namespace, key: Vec<u8>) -> Self {
        Self(Handle { namespace, key })
    }

    /// Adds `by`, which may be negative, and returns what the number then is here.
    ///
    /// # Errors
    /// See [`Counter`]; [`Error::Overflow`] when the result would leave 64 bits.
    pub async fn add(&self, by: i64) -> Result<i64, Error> {
        self.0.write(move |t, key| t.counter(key).add(by)).await
    }

    /// Adds 1.
    ///
    /// # Errors
    /// As [`Counter::add`].
    pub async fn increment(&self) -> Result<i64, Error> {
        self.add(1).await
    }

    /// Takes 1 off.
    ///
    /// # Errors
    /// As [`Counter::add`].
    pub async fn decrement(&self) -> Result<i64, Error> {
        self.add(-1).await
    }

    /// The number; 0 when there is none. Where merged additions leave 64 bits, the bound is read.
    ///
    /// # Errors
    /// See [`Counter`].
    pub async fn value(&self) -> Result<i64, Error> {
        self.0.read(|view, key| view.counter(key).value()).await
    }

    /// Deletes the counter, so that it reads 0; whether there was one. Additions which this has not observed stay.
    ///
    /// # Errors
    /// See [`Counter`].
    pub async fn reset(&self) -> Result<bool, Error> {
        self.0.write(|t, key| t.counter(key).reset()).await
    }
}
