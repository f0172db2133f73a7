//! What a namespace may be called.

/// The longest name of a namespace, in bytes.
pub(crate) const MAX_NAME: usize = 64;

/// Why a string is no name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no name for a namespace; use 1 to {} of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit",
    MAX_NAME
)]
pub struct NameError {
    /// The name asked for.
    pub name: String,
}

/// Names become file names, so they are kept to what every file system tells apart.
pub(crate) fn check_name(name: &str) -> Result<(), NameError> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.as_bytes().first().copied();
    if name.len() <= MAX_NAME
        && first.is_some_and(legal)
        && name
            .bytes()
            .all(|byte| legal(byte) || b"-_.".contains(&byte))
    {
        return Ok(());
    }
    Err(NameError {
        name: name.to_owned(),
    })
}
