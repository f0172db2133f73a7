//! Small files for people and for us: lines of a name and a value.

use super::error::TrustError;
use std::path::Path;

/// The lines of a file, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        // A line break would make two lines of it.
        let value = value.to_string().replace(['\n', '\r'], " ");
        self.0.push((name.to_owned(), value));
        self
    }

    pub(super) fn with_all<T: ToString>(
        self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        values
            .into_iter()
            .fold(self, |fields, value| fields.with(name, value))
    }

    pub(super) fn to_text(&self) -> String {
        self.0
            .iter()
            .map(|(name, value)| format!("{name} {value}\n"))
            .collect()
    }

    /// Lines that have no value are left out.
    pub(super) fn parse(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.split_once(' '));
        Self(
            fields
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of this name in the file at `path`, which has to be there and be of this kind.
    pub(super) fn need<T: std::str::FromStr>(
        &self,
        name: &str,
        path: &Path,
    ) -> Result<T, TrustError> {
        self.get(name)
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| TrustError::Damaged {
                path: path.to_owned(),
                reason: format!("its line {name:?} is missing or makes no sense"),
            })
    }
}
