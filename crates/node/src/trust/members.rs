//! The authority's list of members: a small file for each, for people and for what is done by name.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use syncline_sync::quic::{AuthorityId, NodeId};

use super::error::TrustError;
use super::fields::Fields;
use super::files::{Access, create_directory, io_error, read, replace};
use super::secret::parse_hex;
use super::token::seconds;

/// Somebody who was given a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Who it is.
    pub node: NodeId,
    /// What it is called, for people.
    pub name: Option<String>,
    /// When its certificate ends, in Unix seconds.
    pub expires: u64,
    /// Who has signed it.
    pub authority: AuthorityId,
}

/// The directory of them.
#[derive(Clone, Debug)]
pub(super) struct Members {
    directory: PathBuf,
}

impl Members {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Notes a new certificate; a name that is known stays unless there is another.
    pub(super) fn note(
        &self,
        node: &NodeId,
        name: Option<&str>,
        expires: SystemTime,
        authority: AuthorityId,
    ) -> Result<(), TrustError> {
        create_directory(&self.directory)?;
        let known = self.get(node)?.and_then(|member| member.name);
        let mut fields = Fields::default()
            .with("expires", seconds(expires))
            .with("authority", authority);
        if let Some(name) = name.or(known.as_deref()) {
            fields = fields.with("name", name);
        }
        let path = self.directory.join(node.to_string());
        replace(&path, fields.to_text(), Access::Owner)
    }

    pub(super) fn get(&self, node: &NodeId) -> Result<Option<Member>, TrustError> {
        let path = self.directory.join(node.to_string());
        let fields = match read(&path) {
            Err(TrustError::Missing { .. }) => return Ok(None),
            text => Fields::parse(&text?),
        };
        let authority: String = fields.need("authority", &path)?;
        let authority = parse_hex(&authority).ok_or_else(|| TrustError::Damaged {
            path: path.clone(),
            reason: "it names no authority".to_owned(),
        })?;
        Ok(Some(Member {
            node: *node,
            name: fields.get("name").map(str::to_owned),
            expires: fields.need("expires", &path)?,
            authority: AuthorityId::from_bytes(authority),
        }))
    }

    /// All of them, by their node.
    pub(super) fn all(&self) -> Result<Vec<Member>, TrustError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error(&self.directory))?,
        };
        let mut members = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error(&self.directory))?.file_name();
            if let Some(node) = name.to_str().and_then(parse_hex) {
                members.extend(self.get(&NodeId::from_bytes(node))?);
            }
        }
        members.sort_by_key(|member| member.node);
        Ok(members)
    }
}
