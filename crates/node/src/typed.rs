//! Values of any serde type, wherever plain bytes can be kept: registers, fields of maps, raw values.
//!
//! `set_as` and `put_as` write what [`encode`] makes of a value, `get_as` gives what [`decode`] reads of it. Nothing else
//! knows of types: to replicas, digests and conflicts a typed value is bytes like any other, and whatever yields bytes,
//! such as [`Register::siblings`](crate::Register::siblings) or [`Namespace::scan`](crate::Namespace::scan), can be handed
//! to [`decode`].
//!
//! ```
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Profile {
//!     name: String,
//!     born: u16,
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let node = syncline::Node::in_memory().await?;
//! let app = node.namespace("app")?;
//! let ada = Profile { name: "Ada".into(), born: 1815 };
//! app.register("profile").set_as(&ada).await?;
//! assert_eq!(app.register("profile").get_as::<Profile>().await?, Some(ada));
//!
//! // Likewise in maps, under raw keys, in views and in transactions.
//! app.map("limits").set_as("upload", &(10u32, "MiB")).await?;
//! let limit: Option<(u32, String)> = app.read(|view| view.map("limits").get_as("upload")).await?;
//! assert_eq!(limit, Some((10, "MiB".to_owned())));
//!
//! // What was not written as a type is not read as one.
//! app.put("motto", "merge, do not fork").await?;
//! assert!(app.get_as::<String>("motto").await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # The bytes
//!
//! The byte `F8`, then the value in the [postcard wire format][postcard], version 1. `F8` begins neither text in UTF-8 nor
//! a number, so neither is taken for a typed value, and a typed value is never counted with.
//!
//! Postcard writes fields in order, without names. So a type may be renamed, and variants may be appended to an enum;
//! any other change of a type makes another type, for which an enum with a variant for each version is the way out. Two
//! types of one shape cannot be told apart, and what needs field names to be read, such as `#[serde(flatten)]`,
//! `#[serde(untagged)]` or `#[serde(skip_serializing_if)]`, does not come back. A value of another cluster's making can nest
//! a recursive type as deep as its size allows: give such a type a bound of its own.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::handles::{Map, Register};
use crate::namespace::Namespace;
use crate::ops;
use crate::rows::{ReadRows, WriteRows};
use crate::transaction::Transaction;
use crate::view::View;

/// What typed values begin with.
const TYPED: u8 = 0xF8;

/// Why bytes are not a value of a type, or a value does not become bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The bytes were not written by [`encode`]: they are plain bytes, text or a number.
    #[error("was not written as a typed value; read it as bytes, or write it with `set_as`")]
    Plain,
    /// The bytes were written by [`encode`], of a value of another type or shape.
    #[error("is not a {wanted} ({reason}); read it as the type that was written")]
    Other {
        /// The type asked for.
        wanted: &'static str,
        /// What did not fit.
        reason: String,
    },
    /// The value cannot be encoded.
    #[error("cannot be written as a {given} ({reason}); use a type that postcard can encode")]
    Unencodable {
        /// The type of the value.
        given: &'static str,
        /// What serde said.
        reason: String,
    },
}

/// The bytes that a value is kept as.
///
/// # Errors
/// [`TypeError::Unencodable`] when its `Serialize` fails, or does what postcard cannot, such as a sequence of a length
/// that is not known beforehand.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, TypeError> {
    postcard::to_extend(value, vec![TYPED]).map_err(|error| TypeError::Unencodable {
        given: type_name::<T>(),
        reason: error.to_string(),
    })
}

/// The value that bytes are kept for; all of the bytes have to be of it.
///
/// ```
/// use syncline::typed::{TypeError, decode, encode};
///
/// let bytes = encode(&("tea", 2u8))?;
/// assert_eq!(decode::<(String, u8)>(&bytes)?, ("tea".to_owned(), 2));
/// assert!(matches!(decode::<String>(&bytes), Err(TypeError::Other { .. })));
/// assert_eq!(decode::<String>(b"tea"), Err(TypeError::Plain));
/// # Ok::<(), TypeError>(())
/// ```
///
/// # Errors
/// [`TypeError::Plain`] and [`TypeError::Other`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TypeError> {
    let encoded = bytes.strip_prefix(&[TYPED]).ok_or(TypeError::Plain)?;
    let other = |reason| TypeError::Other {
        wanted: type_name::<T>(),
        reason,
    };
    let (value, rest) =
        postcard::take_from_bytes(encoded).map_err(|error| other(error.to_string()))?;
    match rest.len() {
        0 => Ok(value),
        left => Err(other(format!("{left} bytes are left over"))),
    }
}

fn written<T: Serialize + ?Sized>(key: &[u8], value: &T) -> Result<Vec<u8>, Error> {
    encode(value).map_err(|source| mistyped(key, source))
}

fn read<T: DeserializeOwned>(key: &[u8], bytes: Option<Vec<u8>>) -> Result<Option<T>, Error> {
    let decoded = bytes.map(|bytes| decode(&bytes)).transpose();
    decoded.map_err(|source| mistyped(key, source))
}

fn mistyped(key: &[u8], source: TypeError) -> Error {
    Error::Mistyped {
        key: key.to_vec(),
        source,
    }
}

/// Raw values of any serde type; see [`typed`](crate::typed).
impl Namespace {
    /// As [`Namespace::get`], as a `T`.
    ///
    /// # Errors
    /// As [`Namespace::get`]; [`Error::Mistyped`] when the value is not a `T`.
    pub async fn get_as<T: DeserializeOwned>(
        &self,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<T>, Error> {
        let key = key.as_ref();
        read(key, self.get(key).await?)
    }

    /// As [`Namespace::put`], of any type.
    ///
    /// # Errors
    /// As [`Namespace::put`]; [`Error::Mistyped`] when the value cannot be encoded.
    pub async fn put_as<T: Serialize + ?Sized>(
        &self,
        key: impl AsRef<[u8]>,
        value: &T,
    ) -> Result<(), Error> {
        let key = key.as_ref();
        self.put(key, written(key, value)?).await
    }
}

/// Values of any serde type; see [`typed`](crate::typed).
impl Register {
    /// As [`Register::get`], as a `T`.
    ///
    /// # Errors
    /// As [`Register::get`]; [`Error::Mistyped`] when the value is not a `T`.
    pub async fn get_as<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        read(self.key(), self.get().await?)
    }

    /// As [`Register::set`], of any type.
    ///
    /// # Errors
    /// As [`Register::set`]; [`Error::Mistyped`] when the value cannot be encoded.
    pub async fn set_as<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Error> {
        self.set(written(self.key(), value)?).await
    }
}

/// Fields of any serde type; see [`typed`](crate::typed).
impl Map {
    /// As [`Map::get`], as a `T`.
    ///
    /// # Errors
    /// As [`Map::get`]; [`Error::Mistyped`] when the value is not a `T`.
    pub async fn get_as<T: DeserializeOwned>(
        &self,
        field: impl AsRef<[u8]>,
    ) -> Result<Option<T>, Error> {
        read(self.key(), self.get(field).await?)
    }

    /// As [`Map::set`], of any type.
    ///
    /// # Errors
    /// As [`Map::set`]; [`Error::Mistyped`] when the value cannot be encoded.
    pub async fn set_as<T: Serialize + ?Sized>(
        &self,
        field: impl AsRef<[u8]>,
        value: &T,
    ) -> Result<bool, Error> {
        self.set(field, written(self.key(), value)?).await
    }
}

/// Raw values of any serde type; see [`typed`](crate::typed).
impl View {
    /// As [`View::get`], as a `T`.
    ///
    /// # Errors
    /// As [`View::get`]; [`Error::Mistyped`] when the value is not a `T`.
    pub fn get_as<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        read(key.as_ref(), self.get(&key)?)
    }
}

/// Raw values of any serde type; see [`typed`](crate::typed).
impl Transaction<'_> {
    /// As [`Transaction::get`], as a `T`.
    ///
    /// # Errors
    /// As [`Transaction::get`]; [`Error::Mistyped`] when the value is not a `T`.
    pub fn get_as<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        read(key.as_ref(), self.get(&key)?)
    }

    /// As [`Transaction::put`], of any type.
    ///
    /// # Errors
    /// As [`Transaction::put`]; [`Error::Mistyped`] when the value cannot be encoded.
    pub fn put_as<T: Serialize + ?Sized>(
        &mut self,
        key: impl AsRef<[u8]>,
        value: &T,
    ) -> Result<(), Error> {
        let bytes = written(key.as_ref(), value)?;
        self.put(key, bytes)
    }
}

/// Values of any serde type; see [`typed`](crate::typed).
impl<S: ReadRows> ops::Register<S> {
    /// As [`get`](Self::get), as a `T`.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Error::Mistyped`] when the value is not a `T`.
    pub fn get_as<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        read(self.key(), self.get()?)
    }
}

/// Values of any serde type; see [`typed`](crate::typed).
impl<S: WriteRows> ops::Register<S> {
    /// As [`set`](Self::set), of any type.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`Error::Mistyped`] when the value cannot be encoded.
    pub fn set_as<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let bytes = written(self.key(), value)?;
        self.set(bytes)
    }
}

/// Fields of any serde type; see [`typed`](crate::typed).
impl<S: ReadRows> ops::Map<S> {
    /// As [`get`](Self::get), as a `T`.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Error::Mistyped`] when the value is not a `T`.
    pub fn get_as<T: DeserializeOwned>(&self, field: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        read(self.key(), self.get(field)?)
    }
}

/// Fields of any serde type; see [`typed`](crate::typed).
impl<S: WriteRows> ops::Map<S> {
    /// As [`set`](Self::set), of any type.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`Error::Mistyped`] when the value cannot be encoded.
    pub fn set_as<T: Serialize + ?Sized>(
        &mut self,
        field: impl AsRef<[u8]>,
        value: &T,
    ) -> Result<bool, Error> {
        let bytes = written(self.key(), value)?;
        self.set(field, bytes)
    }
}
