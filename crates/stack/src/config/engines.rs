//! `engines = [...]`: a list of engines within the section of a stage, each with the section's keys for its own.

use toml::{Table, Value};

/// The stages that may have several engines.
const STAGES: [&str; 4] = ["stt", "llm", "tts", "embed"];
/// What belongs to one engine and says nothing of another.
const OWN: [&str; 14] = [
    "engine",
    "engines",
    "model",
    "base_url",
    "api_key",
    "api_version",
    "max_concurrent",
    "voices",
    "dimensions",
    "input_price",
    "cached_price",
    "output_price",
    "hour_price",
    "million_price",
];

/// Gives each engine of a list what the section says of all. A name stands for an engine with the section's keys: all of
/// them if it is the section's `engine`, else those that do not belong to that alone.
pub(super) fn expand(mut table: Table) -> Result<Table, String> {
    for stage in STAGES {
        let Some(Value::Table(section)) = table.get_mut(stage) else { continue };
        let Some(list) = section.remove("engines") else { continue };
        let Value::Array(list) = list else {
            return Err(format!("[{stage}] engines is a list: engines = [\"one\", \"another\"]"));
        };
        let list: Result<Vec<_>, _> = list.into_iter().map(|entry| engine(stage, section, entry)).collect();
        section.insert("engines".to_owned(), Value::Array(list?));
    }
    Ok(table)
}

fn engine(stage: &str, section: &Table, entry: Value) -> Result<Value, String> {
    let shared = section.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    let mut whole: Table = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
    match entry {
        Value::String(name) if section.get("engine").and_then(Value::as_str) == Some(&name) => {
            whole.clone_from(section);
        }
        Value::String(name) => drop(whole.insert("engine".to_owned(), Value::String(name))),
        Value::Table(own) if own.contains_key("engines") => {
            return Err(format!(
                "[{stage}] engines holds an engine with engines of its own: list them all in one"
            ));
        }
        Value::Table(own) => whole.extend(own),
        other => {
            let kind = other.type_str();
            return Err(format!(
                "[{stage}] engines holds a {kind}: give names, or tables of keys of [{stage}]"
            ));
        }
    }
    Ok(Value::Table(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Table, String> {
        expand(text.parse().expect("TOML"))
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
