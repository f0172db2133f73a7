//! Reading large collections, a page at a time.

use std::collections::VecDeque;
use std::fmt;

use syncline_merkle::KeyRange;

use crate::blocking;
use crate::error::Error;
use crate::ops::scan::Found;
use crate::replica::Replica;
use crate::view::View;

/// Items of a large collection, read a page at a time from one consistent state.
///
/// It sees the state as of its beginning, whatever is written since. Until it is dropped the store keeps the pages of
/// that state, so a scan should be read to its end or dropped, not kept.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = syncline::Node::in_memory().await?;
/// # let app = node.namespace("app")?;
/// # app.put("user:1", "ada").await?;
/// let mut users = app.scan("user:").await?;
/// while let Some((key, value)) = users.next().await? {
///     println!("{} is {}", key.escape_ascii(), value.escape_ascii());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Scan<T> {
    replica: Replica,
    view: View,
    page: VecDeque<T>,
    /// What has not been read yet; `None` at the end.
    rest: Option<KeyRange>,
    read: ReadPage<T>,
}

/// Reads the first page of a range.
pub(crate) type ReadPage<T> = fn(&View, KeyRange) -> Result<Page<T>, Error>;

impl<T: Send + 'static> Scan<T> {
    /// Begins at once, so that what fails at the beginning fails here.
    pub(crate) fn start(
        replica: Replica,
        view: &View,
        range: KeyRange,
        read: ReadPage<T>,
    ) -> Result<Self, Error> {
        let first = read(view, range)?;
        Ok(Self {
            replica,
            view: view.clone(),
            page: first.items,
            rest: first.rest,
            read,
        })
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails, [`Error::Damaged`] when a row is, [`Error::NewerEncoding`] when a newer version wrote a
    /// value. The scan ends with its first error.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        while self.page.is_empty() {
            let Some(range) = self.rest.take() else {
                return Ok(None);
            };
            let (view, read) = (self.view.clone(), self.read);
            match blocking(move || read(&view, range)).await {
                Ok(page) => {
                    self.page = page.items;
                    self.rest = page.rest;
                }
                Err(error) => return Err(self.replica.heal(error).await),
            }
        }
        Ok(self.page.pop_front())
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// As [`Scan::next`].
    pub async fn collect(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while let Some(item) = self.next().await? {
            all.push(item);
        }
        Ok(all)
    }
}

impl<T> fmt::Debug for Scan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("read_ahead", &self.page.len())
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

/// Items at which a page is full; the siblings of one place are not torn.
const PAGE_ITEMS: usize = 512;
/// Bytes at which a page is full, whatever it counts; the last place may go beyond.
const PAGE_BYTES: usize = 1 << 20;

/// The first items of a range, and what is left of it.
pub(crate) struct Page<T> {
    items: VecDeque<T>,
    rest: Option<KeyRange>,
}

impl<T> Page<T> {
    pub(crate) fn fill(
        found: impl Iterator<Item = Result<Found<T>, Error>>,
        range: KeyRange,
    ) -> Result<Self, Error> {
        let mut items = VecDeque::new();
        let mut bytes = 0;
        for found in found {
            let found = found?;
            bytes += found.bytes;
            items.push_back(found.item);
            let full = items.len() >= PAGE_ITEMS || bytes >= PAGE_BYTES;
            if let (true, Some(lower)) = (full, found.resume) {
                let rest = Some(KeyRange { lower, ..range });
                return Ok(Self { items, rest });
            }
        }
        Ok(Self { items, rest: None })
    }
}
