//! A secret that is set but empty is refused, wherever it comes from.

use super::*;

/// What a variable may hold that was meant to be set.
const EMPTY: [&str; 3] = ["", "   ", "\t\n "];

fn secrets() -> Vec<KeyInfo> {
    let secrets: Vec<_> = keys("").into_iter().filter(|key| key.kind.contains("secret")).collect();
    assert!(secrets.len() >= 10, "{}", secrets.len());
    secrets
}

/// A file in which a key has a value that a variable gives, alone or in a list as the key wants it.
fn from_variable(key: &KeyInfo) -> String {
    let (section, name) = key.path.rsplit_once('.').expect("a section");
    let value = if key.kind.starts_with("list") { "[\"${SECRET}\"]" } else { "\"${SECRET}\"" };
    format!("[{section}]\n{name} = {value}")
}

#[test]
fn every_secret_in_a_file_is_refused_when_its_variable_is_empty() {
    for key in secrets() {
        for empty in EMPTY {
            let message = error(&from_variable(&key), &[("SECRET", empty)]);
            let says = format!("{} = (an empty secret) must be a secret that is not empty", key.name());
            assert!(message.starts_with("antiphon.toml:2: ") && message.contains(&says), "{message}");
        }
    }
}

#[test]
fn every_secret_in_the_environment_is_refused_when_it_is_empty() {
    for key in secrets() {
        for variable in &key.environment {
            for empty in EMPTY {
                let value =
                    if key.kind.starts_with("list") { format!("['''{empty}''']") } else { empty.to_owned() };
                let message = error("", &[(variable, &value)]);
                let says = format!("{} = (an empty secret) must be a secret that is not empty", key.name());
                assert!(
                    message.starts_with(&format!("{variable}: ")) && message.contains(&says),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn every_secret_of_a_listed_engine_is_refused_when_it_is_empty() {
    for stage in ["stt", "llm", "tts", "embed"] {
        let text = format!(
            "[{stage}]\nengines = [{{ engine = \"openai\", model = \"m\", api_key = \"${{SECRET}}\" }}]"
        );
        for empty in EMPTY {
            let message = error(&text, &[("SECRET", empty)]);
            assert!(message.contains("api_key = (an empty secret)"), "{message}");
        }
    }
}
