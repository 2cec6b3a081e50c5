//! The search space: the tunables that components declare, and the choice between installed engines.

use std::path::Path;

use antiphon_core::measure::Tunable;
use antiphon_lab::search::{Knob, Point, Value};
use antiphon_stack::Stack;
use antiphon_stack::config::{Config, Origin, TtsEngine, VadEngine, current_name};

/// Most values of a number that are tried.
const MAX_VALUES: usize = 6;

/// The knobs and their present values: those with the given names, or all if there are none. Keys in the
/// configuration file or the environment are left out, because a person has chosen their values.
pub(super) fn knobs(
    stack: &Stack,
    config: &Config,
    origins: &[(String, Origin)],
    models: Option<&Path>,
    only: &[String],
) -> (Vec<Knob>, Point) {
    let tunables = stack.components.iter().flat_map(|component| component.tunables());
    let mut found: Vec<(Knob, usize)> = tunables.map(|tunable| of_tunable(&tunable)).collect();
    if config.vad.engine == VadEngine::Silero {
        let today = if config.advanced.vad_gate { "true" } else { "false" };
        found.push(choice("advanced.vad_gate", &["true", "false"], today));
    }
    if let Some(models) = models
        && models.join("kokoro-82m").is_dir()
        && matches!(config.tts.engine, TtsEngine::Piper | TtsEngine::Kokoro)
    {
        found.push(choice("tts.engine", &["piper", "kokoro"], config.tts.engine.name()));
    }
    let written = |key: &str| origins.iter().any(|(path, origin)| path == key && !is_tuned(origin));
    let only: Vec<String> = only.iter().map(|key| current_name(key)).collect();
    let wanted = |key: &String| only.is_empty() || only.contains(key);
    found.retain(|(knob, _)| knob.values.len() > 1 && wanted(&knob.name) && !written(&knob.name));
    found.into_iter().unzip()
}

fn is_tuned(origin: &Origin) -> bool {
    matches!(origin, Origin::File(name) if Path::new(name).ends_with(antiphon_stack::config::TUNED))
}

/// Values from the minimum to the maximum in even ratios, rounded to multiples of the minimum, with the present value
/// among them.
fn of_tunable(tunable: &Tunable) -> (Knob, usize) {
    let Tunable { min, max, value, .. } = *tunable;
    let steps = MAX_VALUES.min((max - min) as usize + 1).max(1);
    let factor = if steps > 1 && min > 0.0 { (max / min).powf(1.0 / (steps - 1) as f64) } else { 1.0 };
    let mut values: Vec<f64> = (0..steps).map(|n| min * factor.powi(n as i32).round()).collect();
    values.push(value);
    values.sort_by(f64::total_cmp);
    values.dedup();
    let today = values.iter().position(|one| *one == value).unwrap_or_default();
    let values = values.into_iter().map(Value::Number).collect();
    (Knob { name: tunable.key.to_string(), values }, today)
}

fn choice(key: &str, values: &[&str], today: &str) -> (Knob, usize) {
    let at = values.iter().position(|value| *value == today).unwrap_or_default();
    let values = values.iter().map(|value| Value::Text((*value).to_owned())).collect();
    (Knob { name: key.to_owned(), values }, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_becomes_a_few_values_with_todays_among_them() {
        let tunable = |value, min, max| Tunable::new("x", "llm.x", value, min..=max, "tokens");
        let (knob, today) = of_tunable(&tunable(32.0, 8.0, 512.0));
        assert!(knob.values.len() <= MAX_VALUES + 1 && knob.values[today] == Value::Number(32.0), "{knob:?}");
        assert_eq!(knob.values.first(), Some(&Value::Number(8.0)));
        assert_eq!(knob.values.last(), Some(&Value::Number(512.0)));
        let (frames, _) = of_tunable(&tunable(100.0, 20.0, 200.0));
        let multiple = |value: &Value| matches!(value, Value::Number(ms) if ms % 20.0 == 0.0);
        assert!(frames.values.iter().all(multiple) && frames.values.len() > 3, "{frames:?}");
        let (cores, today) = of_tunable(&tunable(2.0, 1.0, 2.0));
        assert_eq!((cores.values, today), (vec![Value::Number(1.0), Value::Number(2.0)], 1));
        assert_eq!(of_tunable(&tunable(1.0, 1.0, 1.0)).0.values.len(), 1);
    }
}
