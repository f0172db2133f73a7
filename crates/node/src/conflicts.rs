//! Conflicts a page at a time, for whoever answers requests and must bound each.

use syncline_merkle::KeyRange;

use crate::error::Error;
use crate::ops::scan;
use crate::registers::Conflict;
use crate::rows::ReadRows as _;
use crate::view::View;

/// Some of the conflicts of a namespace; see [`View::conflict_page`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictPage {
    /// In the order of keys and fields.
    pub conflicts: Vec<Conflict>,
    /// Where to go on; `None` at the end. Opaque, and good on any view of the namespace.
    pub rest: Option<Vec<u8>>,
}

impl View {
    /// The next conflicts under a prefix, `limit` at most, found among the next `rows` rows at most: it may have none and yet not be the end. `from` is
    /// [`ConflictPage::rest`] of the page before. [`View::conflicts`] has all of them at once.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = syncline::testing::cluster(2).await?;
    /// # let app = cluster.namespaces("app")?;
    /// app[0].put("motto", "merge").await?;
    /// app[1].put("motto", "do not fork").await?;
    /// cluster.sync_all().await?;
    /// let page = app[0].read(|view| view.conflict_page("", None, 10_000, 100)).await?;
    /// assert_eq!(page.conflicts[0].key, b"motto");
    /// assert_eq!(page.rest, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when reading fails.
    pub fn conflict_page(
        &self,
        prefix: impl AsRef<[u8]>,
        from: Option<&[u8]>,
        rows: usize,
        limit: usize,
    ) -> Result<ConflictPage, Error> {
        let all = scan::with_prefix(prefix.as_ref());
        let lower = from.map_or(&all.lower[..], |from| from.max(&all.lower));
        let range = KeyRange::new(lower, all.upper);
        let mut page = ConflictPage::default();
        for (read, entry) in self.rows(&range)?.enumerate() {
            let (key, row) = entry?;
            if read == rows || page.conflicts.len() == limit {
                page.rest = Some(key.into_bytes());
                break;
            }
            page.conflicts.extend(scan::conflict_in(self, &key, &row)?);
        }
        Ok(page)
    }
}
