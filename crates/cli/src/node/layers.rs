//! Where a setting is said: on the command line, in the environment, or in a file. The first of them that says it counts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::{Failure, Reason};

const PREFIX: &str = "SYNCLINE_";
/// Says where the file is, which the file itself cannot.
const CONFIG: &str = "SYNCLINE_CONFIG";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File {
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is said of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) values: Vec<String>,
    pub(crate) source: Source,
}

impl Said {
    /// How the setting is written there, for an error about it.
    pub(crate) fn quote(&self, key: &str) -> String {
        let value = self.values.join(",");
        match &self.source {
            Source::Flag | Source::Default => format!("--{key} {value}"),
            Source::Environment => format!("{}={value}", variable(key)),
            Source::File { .. } => format!("{}: {key} = {value:?}", self.source),
        }
    }
}

/// All that is said.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    flags: BTreeMap<&'static str, Vec<String>>,
    /// By the names of variables.
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, Said>,
}

impl Layers {
    /// Reads the file, if one is named by `config` or the environment.
    pub(crate) fn read(
        flags: Vec<(&'static str, Vec<String>)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        config: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut ours = BTreeMap::new();
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|value| wrong(format!("{name}={} is no text", value.display())))?;
            ours.insert(name.to_owned(), value);
        }
        let named = ours.remove(CONFIG).map(PathBuf::from);
        let file = match config.map(Path::to_owned).or(named) {
            Some(path) => {
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    wrong(format!(
                        "the settings in {} cannot be read: {error}",
                        path.display()
                    ))
                })?;
                parse(&path, &text)?
            }
            None => BTreeMap::new(),
        };
        Ok(Self {
            flags: flags.into_iter().collect(),
            environment: ours,
            file,
        })
    }

    /// What counts of what is said of a setting.
    pub(crate) fn find(&self, key: &'static str) -> Option<Said> {
        if let Some(values) = self.flags.get(key) {
            return Some(Said {
                values: values.clone(),
                source: Source::Flag,
            });
        }
        if let Some(value) = self.environment.get(&variable(key)) {
            return Some(Said {
                values: vec![value.clone()],
                source: Source::Environment,
            });
        }
        self.file.get(key).cloned()
    }

    /// The first setting of the file that is none of these, as it is written there.
    pub(crate) fn unknown_in_file(&self, keys: &[&'static str]) -> Option<String> {
        let unknown = |key: &&String| !keys.contains(&key.as_str());
        let (key, said) = self.file.iter().find(|(key, _)| unknown(key))?;
        Some(format!("{}: {key}", said.source))
    }

    /// The variables of ours that are none of these settings.
    pub(crate) fn unknown_variables(&self, keys: &[&'static str]) -> Vec<String> {
        let known: Vec<String> = keys.iter().map(|key| variable(key)).collect();
        let ours = self.environment.keys();
        ours.filter(|name| !known.contains(name)).cloned().collect()
    }
}

/// The variable that holds a setting.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Said>, Failure> {
    let at = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        Source::File {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
        }
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        wrong(format!("{}: {}", at(offset), error.message()))
    })?;
    let mut file = BTreeMap::new();
    for (key, value) in table.into_inner() {
        let source = at(key.span().start);
        let key = key.into_inner().into_owned();
        let values = values(&value).ok_or_else(|| {
            wrong(format!(
                "{source}: {key} must be text, a number, true or false, or a list of texts, not {}",
                value.get_ref().type_str()
            ))
        })?;
        file.insert(key, Said { values, source });
    }
    Ok(file)
}

/// A value as it would be written on the command line; an array as several.
fn values(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(scalar).collect(),
        _ => Some(vec![scalar(value)?]),
    }
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The settings are wrong.
pub(crate) fn wrong(text: impl Into<String>) -> Failure {
    Failure::new(Reason::Usage, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const FILE: &str =
        "# a node\nlisten = \"0.0.0.0:1\"\njoin = [\"a:1\",\n  \"b:1\"]\nsync-every = 5_0\n";

    fn layers(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Layers {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("node.toml");
        std::fs::write(&path, file).unwrap();
        let flags = flags
            .iter()
            .map(|(key, value)| (*key, vec![(*value).to_owned()]));
        let environment = environment
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Layers::read(flags.collect(), environment, Some(&path)).unwrap()
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_that_before_the_file() {
        let variables = [("SYNCLINE_LISTEN", "e:1"), ("HOME", "/")];
        let of = |layers: Layers| layers.find("listen").unwrap();
        let said = of(layers(&[("listen", "f:1")], &variables, FILE));
        assert_eq!(
            (said.values, said.source),
            (vec!["f:1".to_owned()], Source::Flag)
        );
        let said = of(layers(&[], &variables, FILE));
        assert_eq!(said.quote("listen"), "SYNCLINE_LISTEN=e:1");
        let said = of(layers(&[], &[], FILE));
        assert_eq!(said.values, ["0.0.0.0:1"]);
        assert!(
            said.quote("listen")
                .ends_with("node.toml:2: listen = \"0.0.0.0:1\"")
        );
        assert_eq!(layers(&[], &[], "").find("listen"), None);
    }

    #[test]
    fn values_of_a_file_are_as_on_the_command_line_with_their_lines() {
        let layers = layers(&[], &[], FILE);
        assert_eq!(layers.find("join").unwrap().values, ["a:1", "b:1"]);
        let every = layers.find("sync-every").unwrap();
        assert_eq!(every.values, ["50"]);
        assert!(matches!(every.source, Source::File { line: 5, .. }));
    }

    #[test]
    fn what_nobody_reads_is_named_with_its_place() {
        let layers = layers(
            &[],
            &[("SYNCLINE_JOIN", "x:1"), ("SYNCLINE_JION", "x:1")],
            FILE,
        );
        let keys = ["listen", "join"];
        let unknown = layers.unknown_in_file(&keys).unwrap();
        assert!(unknown.ends_with("node.toml:5: sync-every"), "{unknown}");
        assert_eq!(layers.unknown_variables(&keys), ["SYNCLINE_JION"]);
        assert_eq!(
            layers.unknown_in_file(&["listen", "join", "sync-every"]),
            None
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_says_where() {
        let path = Path::new("node.toml");
        for (text, words) in [
            ("a = 1\nb =\n", "node.toml:2"),
            ("a = 1\na = 2\n", "node.toml:2"),
            ("\n[node]\nlisten = 1", "node.toml:2: node must be text"),
            ("x = 1.5", "node.toml:1: x must be text"),
            ("x = [[1]]", "node.toml:1: x must be text"),
        ] {
            let error = parse(path, text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
