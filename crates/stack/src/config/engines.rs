//! Expands `engines = [...]`: the list of engines in a stage's section, each of which inherits the section's keys.

use antiphon_core::settings::SectionInfo;
use toml::{Table, Value};

use super::tree;

/// The key that holds the list.
pub(super) const LIST: &str = "engines";

/// Gives each engine of a list the keys of its section. An engine given only by its name inherits all of them if it
/// is the section's `engine`; otherwise it inherits those that are not specific to that engine.
pub(super) fn expand(mut table: Table, whole: &SectionInfo) -> Result<Table, String> {
    for stage in whole.sections.iter().filter(|stage| stage.keys.iter().any(|key| key.name() == LIST)) {
        let Some(Value::Table(section)) = table.get_mut(stage.name()) else { continue };
        let Some(list) = section.remove(LIST) else { continue };
        let Value::Array(list) = list else {
            return Err(format!("[{}] engines is a list: engines = [\"one\", \"another\"]", stage.path));
        };
        let list: Result<Vec<_>, _> = list.into_iter().map(|entry| engine(stage, section, entry)).collect();
        section.insert(LIST.to_owned(), Value::Array(list?));
    }
    Ok(table)
}

fn engine(stage: &SectionInfo, section: &Table, entry: Value) -> Result<Value, String> {
    let name = stage.name();
    let mut whole = section.clone();
    for own in stage.all_keys().into_iter().filter(|key| key.own) {
        tree::take(&mut whole, &own.path[stage.path.len() + 1..]);
    }
    match entry {
        Value::String(engine) if section.get("engine").and_then(Value::as_str) == Some(&engine) => {
            whole.clone_from(section);
        }
        Value::String(engine) => drop(whole.insert("engine".to_owned(), Value::String(engine))),
        Value::Table(own) if own.contains_key(LIST) => {
            return Err(format!(
                "[{name}] engines holds an engine with engines of its own: list them all in one"
            ));
        }
        Value::Table(own) => tree::merge(&mut whole, own, stage),
        other => {
            let kind = other.type_str();
            return Err(format!(
                "[{name}] engines holds a {kind}: give names, or tables of keys of [{name}]"
            ));
        }
    }
    Ok(Value::Table(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Table, String> {
        expand(text.parse().expect("TOML"), &super::super::layers::described())
    }

    #[test]
    fn each_engine_has_what_the_section_says_of_all() {
        let text = r#"
            [llm]
            engine = "openai"
            base_url = "http://localhost:1/v1"
            model = "big"
            temperature = 0.5
            engines = ["openai", { engine = "openai", base_url = "http://localhost:2/v1", model = "small" }, "llama"]
        "#;
        let table = expanded(text).expect("good");
        let engines = table["llm"]["engines"].as_array().expect("a list");
        let key = |at: usize, key: &str| engines[at].get(key).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(key(0, "model").as_deref(), Some("big"));
        assert_eq!(key(1, "base_url").as_deref(), Some("http://localhost:2/v1"));
        assert_eq!(
            (key(2, "engine").as_deref(), key(2, "base_url"), key(2, "model")),
            (Some("llama"), None, None)
        );
        assert!(engines.iter().all(|engine| engine["temperature"].as_float() == Some(0.5)));
    }

    #[test]
    fn an_engine_does_not_cost_what_another_does() {
        let text = r#"
            [stt]
            engine = "deepgram"
            hour_price = 0.5
            engines = ["deepgram", { engine = "assemblyai", hour_price = 0.25 }, "moonshine"]
        "#;
        let table = expanded(text).expect("good");
        let engines = table["stt"]["engines"].as_array().expect("a list");
        let prices: Vec<_> =
            engines.iter().map(|engine| engine.get("hour_price").and_then(Value::as_float)).collect();
        assert_eq!(prices, [Some(0.5), Some(0.25), None]);
    }

    #[test]
    fn what_is_no_engine_is_refused() {
        for (list, says) in
            [("1", "is a list"), ("[1]", "holds a integer"), ("[{ engines = [] }]", "of its own")]
        {
            let error = expanded(&format!("[tts]\nengines = {list}")).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
    }
}
