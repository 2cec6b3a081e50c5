//! Every number that can be set is bounded on both sides.

use super::*;

/// What is tried of every number: nothing, less than nothing, no number, and more than any machine has.
const TRIED: [&str; 8] = ["0", "-1", "nan", "inf", "-inf", "1e300", "-1e300", "9223372036854775807"];

/// Values of [`TRIED`] that are good, with the reason. All others are refused.
const GOOD: &[(&str, &str, &str)] = &[
    ("server.limits.drain_s", "0", "calls end at once"),
    ("turn.reprompt_ms", "0", "nobody is asked again"),
    ("turn.max_reprompts", "0", "the agent says goodbye at once"),
    ("advanced.speculate_ms", "0", "a reply is prepared at once"),
    ("advanced.fallback.hedge_share", "0", "no request is asked twice"),
    ("llm.temperature", "0", "the likeliest answer"),
    ("llm.input_price", "0", "it is free"),
    ("llm.cached_price", "0", "it is free"),
    ("llm.output_price", "0", "it is free"),
    ("stt.hour_price", "0", "it is free"),
    ("tts.million_price", "0", "it is free"),
    ("llm.gemini.thinking_budget", "0", "the model does not think"),
    ("llm.gemini.thinking_budget", "-1", "the model decides itself"),
    ("tts.elevenlabs.stability", "0", "ElevenLabs' own range"),
    ("tts.elevenlabs.similarity_boost", "0", "ElevenLabs' own range"),
    ("tts.elevenlabs.style", "0", "ElevenLabs' own range"),
    ("stt.sim.delay_ms", "0", "a simulation without delay"),
    ("llm.sim.first_token_ms", "0", "a simulation without delay"),
    ("llm.sim.token_ms", "0", "a simulation without delay"),
    ("tts.sim.first_audio_ms", "0", "a simulation without delay"),
];

/// What simulated engines of every stage have in common.
const GOOD_OF_SIMULATIONS: &[(&str, &str, &str)] = &[
    ("fail_rate", "0", "no faults"),
    ("stall_rate", "0", "no faults"),
    ("jitter_ms", "0", "regular delays"),
    ("seed", "0", "any number is a seed"),
    ("seed", "9223372036854775807", "any number is a seed"),
];

fn is_good(key: &KeyInfo, value: &str) -> bool {
    let listed = GOOD.iter().any(|(path, good, _)| (*path, *good) == (key.path.as_str(), value));
    let simulated = key.path.contains(".sim.");
    listed
        || simulated
            && GOOD_OF_SIMULATIONS.iter().any(|(name, good, _)| (*name, *good) == (key.name(), value))
}

#[test]
fn every_number_is_refused_where_it_cannot_be() {
    let numbers: Vec<_> = keys("").into_iter().filter(|key| key.kind.contains("number")).collect();
    assert!(numbers.len() > 50, "{}", numbers.len());
    for key in &numbers {
        let (section, name) = key.path.rsplit_once('.').expect("a section");
        for value in TRIED {
            let read = load_text(&format!("[{section}]\n{name} = {value}"), &[]);
            match read {
                Ok(_) => assert!(is_good(key, value), "{} = {value} is taken", key.path),
                Err(refused) => {
                    let refused = format!("{refused:#}");
                    assert!(!is_good(key, value), "{} = {value}: {refused}", key.path);
                    assert!(refused.contains("antiphon.toml:2") && refused.contains(name), "{refused}");
                }
            }
        }
    }
    for (path, ..) in GOOD {
        assert!(numbers.iter().any(|key| key.path == *path), "{path} is no number any more");
    }
}

#[test]
fn numbers_of_listed_engines_and_of_the_environment_are_bounded_as_well() {
    let message = error("[llm]\nengines = [{ engine = \"sim\", max_tokens = 0 }]", &[]);
    assert_eq!(message, "antiphon.toml:2: [llm] max_tokens = 0 must be between 1 and 1000000");
    let message = error("", &[("ANTIPHON_LLM__TEMPERATURE", "nan")]);
    assert_eq!(message, "ANTIPHON_LLM__TEMPERATURE: [llm] temperature = NaN must be between 0 and 2");
}

#[test]
fn a_silence_that_contradicts_another_is_refused() {
    let message = error("[turn]\nmin_silence_ms = 2000", &[]);
    assert_eq!(message, "[turn] min_silence_ms = 2000 must be at most max_silence_ms = 1500");
}

#[test]
fn addresses_are_checked_when_they_are_read() {
    for stage in ["stt", "llm", "tts", "embed"] {
        for address in ["localhost:8000", "", "ftp://host", "http://"] {
            let message = error(&format!("[{stage}]\nbase_url = \"{address}\""), &[]);
            let says = format!("antiphon.toml:2: [{stage}] base_url = \"{address}\" must be an address");
            assert!(message.starts_with(&says), "{message}");
        }
    }
    for address in ["redis://", "redis://host/x", "unix:", "redis://user:s3cret/@host"] {
        let message = error(&format!("[cache]\nredis_url = \"{address}\""), &[]);
        assert!(message.contains("[cache] redis_url = (a secret) must be redis://"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    assert!(error("[telemetry]\nlog_format = \"xml\"", &[]).contains("one of \"text\", \"json\""));
}
