//! Keys and tables as data.

use serde::Serialize;
use serde_json::Value;

use super::Check;

/// A key as it was declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyInfo {
    /// Its full name, such as `tts.elevenlabs.stability`.
    pub path: String,
    /// What it holds, in words.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `null` where it is not set.
    pub default: Value,
    /// What it does: its doc comment.
    pub help: String,
    /// The texts that it may be, if it is one of a few.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub choices: &'static [&'static str],
    /// What its value must be beyond its type, in words that complete "must be".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// A value in TOML, for keys that are not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<&'static str>,
    /// The environment variables that set it, the usual one first.
    pub environment: Vec<String>,
    /// Other places where it may stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// Whether it belongs to one engine of a list and says nothing of the others.
    #[serde(skip)]
    pub own: bool,
}

/// Another place where a key may stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alias {
    /// Its full name there.
    pub path: String,
    /// Whether whoever uses it is told the new name.
    pub deprecated: bool,
}

/// A table as it was declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SectionInfo {
    /// Its full name, such as `tts.elevenlabs`; empty for the whole file.
    pub path: String,
    /// What it is for: its doc comment.
    pub help: String,
    /// The keys in it, in the order of their declarations, without those of the tables in it.
    pub keys: Vec<KeyInfo>,
    /// The tables in it.
    pub sections: Vec<SectionInfo>,
}

impl SectionInfo {
    /// A table without keys.
    pub fn new(path: &str, doc: &str) -> Self {
        Self { path: path.to_owned(), help: one_line(doc), keys: Vec::new(), sections: Vec::new() }
    }

    /// Adds the keys of another table.
    pub fn include(&mut self, other: Option<SectionInfo>) {
        if let Some(other) = other {
            self.keys.extend(other.keys);
            self.sections.extend(other.sections);
        }
    }

    /// The last part of its name.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// All keys of it and of the tables in it, in the order of their declarations.
    pub fn all_keys(&self) -> Vec<&KeyInfo> {
        self.keys.iter().chain(self.sections.iter().flat_map(SectionInfo::all_keys)).collect()
    }
}

impl KeyInfo {
    /// The last part of its name.
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }
}

/// What a declaration says of a key beside its type, default and help.
#[derive(Clone, Debug, Default)]
pub struct KeyOptions {
    pub(super) check: Option<Check>,
    pub(super) example: Option<&'static str>,
    pub(super) variable: Option<&'static str>,
    /// Places, `None` for the table above, and whether they are deprecated.
    pub(super) aliases: Vec<(Option<&'static str>, bool)>,
    pub(super) own: bool,
}

impl KeyOptions {
    /// What the value must be; of a list, each of its values.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// A value in TOML, to show for a key that is not set.
    #[must_use]
    pub fn example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    /// One more environment variable that sets it.
    #[must_use]
    pub fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    /// It belongs to one engine of a list and says nothing of the others.
    #[must_use]
    pub fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Its full name before; that goes on working, with a warning.
    #[must_use]
    pub fn formerly(mut self, path: &'static str) -> Self {
        self.aliases.push((Some(path), true));
        self
    }

    /// It stood in the table above under the same name; that goes on working, with a warning.
    #[must_use]
    pub fn formerly_above(mut self) -> Self {
        self.aliases.push((None, true));
        self
    }

    /// It may as well stand in the table above.
    #[must_use]
    pub fn also_above(mut self) -> Self {
        self.aliases.push((None, false));
        self
    }
}

/// The lines of a doc comment as one.
pub(super) fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
