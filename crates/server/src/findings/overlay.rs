//! The overlay files: the settings that a search has found, with the evidence. What a person has configured
//! overrides them.
//!
//! There are three files in the data directory: `tuned.proposed.toml` is the result of the last search, `tuned.toml`
//! is in effect, and `tuned.before.toml` was in effect before it. Each is replaced as a whole, so that a crash leaves
//! either the old or the new file.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use antiphon_cache::private_files;
use antiphon_lab::search::Value;
use antiphon_stack::config::TUNED;
use anyhow::{Context, Result, bail};

use super::Finding;

const PROPOSED: &str = "tuned.proposed.toml";
const BEFORE: &str = "tuned.before.toml";

/// The paths of the files.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    folder: PathBuf,
}

impl Overlay {
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Closes the files to other users of the machine: earlier versions left them open.
    pub(crate) fn tighten(&self) -> Result<()> {
        for name in [PROPOSED, TUNED, BEFORE] {
            let path = self.folder.join(name);
            private_files::tighten_file(&path)
                .with_context(|| format!("cannot change the rights of {}", path.display()))?;
        }
        Ok(())
    }

    /// Writes the result of a search as a proposal. It includes the settings in effect that the search did
    /// not change.
    pub(crate) fn propose(&self, finding: &Finding) -> Result<PathBuf> {
        let path = self.folder.join(PROPOSED);
        let kept = fs::read_to_string(self.folder.join(TUNED)).unwrap_or_default();
        replace(&path, &text(finding, &kept)?)?;
        Ok(path)
    }

    /// Whether there is a proposal.
    pub(crate) fn is_proposed(&self) -> bool {
        self.folder.join(PROPOSED).is_file()
    }

    /// Withdraws the proposal of an earlier search, because a later one found nothing better. Returns whether there
    /// was one.
    pub(crate) fn withdraw(&self) -> Result<bool> {
        let proposed = self.is_proposed();
        if proposed {
            let path = self.folder.join(PROPOSED);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(proposed)
    }

    /// Puts the proposal into effect.
    pub(crate) fn apply(&self) -> Result<PathBuf> {
        let (tuned, proposed) = (self.folder.join(TUNED), self.folder.join(PROPOSED));
        if !self.is_proposed() {
            bail!("nothing was found that could be applied: run `antiphon optimize` first");
        }
        let before = fs::read_to_string(&tuned).unwrap_or_default();
        replace(&self.folder.join(BEFORE), &before)?;
        fs::rename(&proposed, &tuned).with_context(|| format!("cannot write {}", tuned.display()))?;
        Ok(tuned)
    }

    /// Restores the settings that were in effect before. Returns true when there were none.
    pub(crate) fn roll_back(&self) -> Result<bool> {
        let (tuned, before) = (self.folder.join(TUNED), self.folder.join(BEFORE));
        if !tuned.is_file() {
            bail!("no tuned settings are in effect that could be rolled back");
        }
        let text = fs::read_to_string(&before).unwrap_or_default();
        if text.trim().is_empty() {
            fs::remove_file(&tuned).with_context(|| format!("cannot remove {}", tuned.display()))?;
        } else {
            replace(&tuned, &text)?;
        }
        // There is only one step back, because nothing older is stored.
        let _ = fs::remove_file(&before);
        Ok(text.trim().is_empty())
    }
}

/// The text of a file: the evidence as comments, then each section.
fn text(finding: &Finding, kept: &str) -> Result<String> {
    let mut table: toml::Table = kept.parse().context("the settings in effect are not valid TOML")?;
    for (key, value) in &finding.settings {
        put(&mut table, key, toml_value(value));
    }
    let mut text = "# Found by `antiphon optimize`; `antiphon optimize --rollback` takes it back. What antiphon.toml says \
        goes over it.\n"
        .to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# machine: {}\n# engines: {}\n# commit: {}",
        finding.machine, finding.engines, finding.commit
    );
    if let Some(comparison) = &finding.comparison {
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        let _ = writeln!(
            text,
            "# {}: {:.2} before, {:.2} now ({:+.1} %; 95 % interval {:+.1} to {:+.1} %; p = {:.4}; {} rounds in turn, after \
             {} trials)",
            finding.goal.unit(),
            comparison.baseline_ms,
            comparison.candidate_ms,
            percent(comparison.ratio),
            percent(comparison.low),
            percent(comparison.high),
            comparison.p_value,
            comparison.rounds,
            finding.trials
        );
    }
    text.push('\n');
    text.push_str(&toml::to_string(&table)?);
    Ok(text)
}

/// Sets a key by its full name, such as `llm.llama.threads`.
fn put(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => drop(table.insert(path.to_owned(), value)),
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn toml_value(value: &Value) -> toml::Value {
    match value {
        Value::Number(number) if number.fract() == 0.0 => toml::Value::Integer(*number as i64),
        Value::Number(number) => toml::Value::Float(*number),
        Value::Text(text) => match text.parse::<bool>() {
            Ok(switch) => toml::Value::Boolean(switch),
            Err(_) => toml::Value::String(text.clone()),
        },
    }
}

fn replace(path: &Path, text: &str) -> Result<()> {
    private_files::replace(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Goal;

    fn finding(settings: &[(&str, Value)]) -> Finding {
        Finding {
            goal: Goal::Latency,
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            comparison: None,
            trials: 12,
            machine: "m".to_owned(),
            commit: "c".to_owned(),
            engines: "e".to_owned(),
            at: 0,
        }
    }

    #[test]
    fn what_is_proposed_is_applied_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let overlay = Overlay::of(folder.path());
        assert!(overlay.apply().is_err() && overlay.roll_back().is_err(), "nothing is there");
        overlay.propose(&finding(&[("llm.threads", Value::Number(1.0))])).unwrap();
        let tuned = overlay.apply().unwrap();
        overlay.propose(&finding(&[("vad.gate", Value::Text("false".to_owned()))])).unwrap();
        overlay.apply().unwrap();
        assert!(
            !overlay.is_proposed() && !overlay.withdraw().unwrap(),
            "what is in force is proposed no more"
        );
        let table: toml::Table = fs::read_to_string(&tuned).unwrap().parse().unwrap();
        assert_eq!(table["llm"]["threads"].as_integer(), Some(1), "what was in force stays");
        assert_eq!(table["vad"]["gate"].as_bool(), Some(false));
        assert!(!overlay.roll_back().unwrap());
        let table: toml::Table = fs::read_to_string(&tuned).unwrap().parse().unwrap();
        assert!(table.contains_key("llm") && !table.contains_key("vad"));
        assert!(overlay.roll_back().unwrap(), "one step back is all that is known");
        assert!(!tuned.exists());
        overlay.propose(&finding(&[("llm.threads", Value::Number(1.0))])).unwrap();
        assert!(overlay.is_proposed() && overlay.withdraw().unwrap() && !overlay.is_proposed());
    }
}
