use syncline_crdt::Decimal;

use super::Handle;
use crate::error::Error;
use crate::namespace::Namespace;

/// The counter under one key of a namespace: the raw value of the key, as a number.
///
/// Additions made anywhere all count, integers and exact decimals alike. Every method fails with [`Error::NotANumber`] when the value is text, with
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
    /// See [`Counter`]; [`Error::NotAnInteger`] when there are digits after the point, [`Error::Overflow`] when the result
    /// would leave 64 bits.
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

    /// Adds an exact decimal, which may be negative, and returns what the number then is here.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let node = syncline::Node::in_memory().await?;
    /// use syncline::Decimal;
    ///
    /// let litres = node.namespace("app")?.counter("litres");
    /// for part in ["0.1", "0.2", "-0.1"] {
    ///     litres.add_decimal(Decimal::parse(part.as_bytes()).ok_or("no number")?).await?;
    /// }
    /// assert_eq!(litres.decimal().await?.to_string(), "0.2");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Counter`]; [`Error::Overflow`] when the result would leave the range of 64 bits.
    pub async fn add_decimal(&self, by: Decimal) -> Result<Decimal, Error> {
        self.0
            .write(move |t, key| t.counter(key).add_decimal(by))
            .await
    }

    /// The number as an exact decimal; 0 when there is none.
    ///
    /// # Errors
    /// See [`Counter`].
    pub async fn decimal(&self) -> Result<Decimal, Error> {
        self.0.read(|view, key| view.counter(key).decimal()).await
    }

    /// The number; 0 when there is none. Where merged additions leave 64 bits, the bound is read.
    ///
    /// # Errors
    /// See [`Counter`]; [`Error::NotAnInteger`] when there are digits after the point.
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
