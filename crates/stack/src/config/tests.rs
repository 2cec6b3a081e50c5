mod bounds;
mod secrets;

use antiphon_core::settings::KeyInfo;
use proptest::prelude::*;

use super::*;

fn load_text(text: &str, vars: &[(&str, &str)]) -> Result<Effective> {
    let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    resolve(text, "antiphon.toml", None, vars)
}

fn error(text: &str, vars: &[(&str, &str)]) -> String {
    format!("{:#}", load_text(text, vars).expect_err("refused"))
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = load_text("", &[]).expect("loads").config;
    assert_eq!(config, Config::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:7700");
}

#[test]
fn the_example_file_holds_the_defaults() {
    let example = include_str!("../../../../antiphon.example.toml");
    assert_eq!(load_text(example, &[]).expect("loads").config, Config::default());
}

#[test]
fn the_environment_goes_over_the_file_and_is_named_as_the_origin() {
    let vars = [("ANTIPHON_TURN__SILENCE_MS", "700"), ("ANTIPHON_AGENT__VOICE", "joe")];
    let effective = load_text("[turn]\nsilence_ms = 600\n[agent]\ngreeting = \"Hi\"", &vars).expect("loads");
    assert_eq!(effective.config.turn.silence_ms, 700);
    assert_eq!(effective.config.agent.voice.as_deref(), Some("joe"));
    let origin = |key: &str| effective.origins.iter().find(|(k, _)| k == key).map(|(_, o)| o.to_string());
    assert_eq!(origin("turn.silence_ms").as_deref(), Some("ANTIPHON_TURN__SILENCE_MS"));
    assert_eq!(origin("agent.greeting").as_deref(), Some("antiphon.toml"));
}

#[test]
fn what_was_tuned_lies_below_what_a_person_wrote() {
    let tuned = ("[llm]\nthreads = 3\nparallel = 4\n[pool]\nthreads = 1", "tuned.toml");
    let effective =
        resolve("[llm]\nparallel = 6", "antiphon.toml", Some(tuned), std::iter::empty()).expect("loads");
    let Config { llm, advanced, .. } = &effective.config;
    let llama = &llm.llama;
    assert_eq!((llama.threads, llama.parallel, advanced.model_threads), (Some(3), 6, Some(1)));
    let origin = |key: &str| effective.origins.iter().find(|(k, _)| k == key).map(|(_, o)| o.to_string());
    assert_eq!(origin("llm.llama.threads").as_deref(), Some("tuned.toml"));
    assert_eq!(origin("llm.llama.parallel").as_deref(), Some("antiphon.toml"));
}

#[test]
fn variables_are_expanded_and_a_missing_one_is_named() {
    let text = "[server]\napi_keys = [\"${KEY}\"]\n[agent]\ngreeting = \"$${not}\"";
    let config = load_text(text, &[("KEY", "s3cret")]).expect("loads").config;
    assert_eq!(config.server.api_keys[0].reveal(), "s3cret");
    assert_eq!(config.agent.greeting, "${not}");
    assert!(error(text, &[]).contains("KEY"), "{}", error(text, &[]));
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest_known_one() {
    let message = error("[turn]\nsilense_ms = 3", &[]);
    assert!(message.contains("antiphon.toml:2") && message.contains("silence_ms"), "{message}");
    let message = error("[trun]\n", &[]);
    assert!(message.contains("turn"), "{message}");
    let message = error("", &[("ANTIPHON_TURN__SILENT", "1")]);
    assert_eq!(message, "ANTIPHON_TURN__SILENT: unknown key `silent` in [turn]; did you mean `silence_ms`?");
    let message = error("", &[("ANTIPHON_TRUN__SILENCE_MS", "1")]);
    assert_eq!(message, "ANTIPHON_TRUN__SILENCE_MS: unknown section [trun]; did you mean [turn]?");
    let warnings = |vars| load_text("", vars).expect("loads").warnings;
    assert_eq!(
        warnings(&[("ANTIPHON_SERVER_LIMITS_MAX_CALLS", "1")]),
        [
            "ANTIPHON_SERVER_LIMITS_MAX_CALLS sets nothing by itself: with two underscores before the key it would, \
          ANTIPHON_SERVER__LIMITS__MAX_CALLS"
        ]
    );
    assert!(
        warnings(&[("ANTIPHON_KEY", "s3cret"), ("ANTIPHON_MODELS", "/m")]).is_empty(),
        "no misspelt settings"
    );
}

#[test]
fn wrong_types_and_values_are_refused() {
    assert!(error("[turn]\nsilence_ms = \"long\"", &[]).contains("antiphon.toml:2"));
    assert!(error("[server]\nlisten = \"0.0.0.0:7700\"", &[]).contains("api_keys"));
    assert!(error("[tts]\nspeed = 9", &[]).contains("speed"));
    for frame_ms in [0, 10, 50, 220] {
        assert!(error(&format!("[server]\nframe_ms = {frame_ms}"), &[]).contains("frame_ms"));
    }
    assert!(error("[server]\nworker_threads = 0", &[]).contains("worker_threads"));
    assert!(error("[cache]\nspeech_ttl_s = 0", &[]).contains("speech_ttl_s"));
    assert!(error("[cache]\ndisk_mb = 0", &[]).contains("disk_mb"));
    assert!(error("[cache]\nreply = \"sometimes\"", &[]).contains("antiphon.toml:2"));
    let message = error("[cache]\nredis_url = \"http://user:s3cret@host\"", &[]);
    assert!(message.contains("redis_url") && !message.contains("s3cret"), "{message}");
    assert!(error("[stt]\nhour_price = -0.5", &[]).contains("[stt] hour_price"));
    assert!(error("[tts]\nengines = [{ million_price = nan }]", &[]).contains("[tts] million_price"));
}

#[test]
fn the_example_file_and_the_reference_page_are_as_the_declarations_have_them() {
    let hint = "write it anew: `make config-pages`";
    assert!(example() == include_str!("../../../../antiphon.example.toml"), "antiphon.example.toml: {hint}");
    assert!(page() == include_str!("../../../../docs/configuration.md"), "docs/configuration.md: {hint}");
}

#[test]
fn every_key_has_help_and_a_default_or_an_example_that_is_good() {
    // Keys that the example shows only in a comment are set as well.
    let mut text = String::new();
    for line in example().lines() {
        let shown = line.strip_prefix("# ").filter(|line| {
            let key = line.split(" = ").next().unwrap_or_default();
            line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        });
        text += shown.unwrap_or(line);
        text.push('\n');
    }
    let names = [
        "DEEPGRAM_API_KEY",
        "OPENAI_API_KEY",
        "ELEVENLABS_API_KEY",
        "TWILIO_AUTH_TOKEN",
        "TELNYX_STREAM_TOKEN",
        "OTLP_KEY",
    ];
    let mut vars: Vec<_> = names.iter().map(|name| (*name, "s3cret")).collect();
    vars.extend([("ANTIPHON_WEBHOOK_SECRET", "s3cret"), ("REDIS_URL", "redis://127.0.0.1")]);
    let effective = load_text(&text, &vars).expect("loads");
    for key in keys("") {
        assert!(!key.help.is_empty(), "{} has no help", key.path);
        assert!(
            effective.origins.iter().any(|(path, _)| *path == key.path) || key.name() == "engines",
            "{key:?}"
        );
    }
    assert!(effective.warnings.is_empty(), "{:?}", effective.warnings);
}

#[test]
fn keys_are_listed_by_section_and_by_name() {
    let names = |prefix| keys(prefix).into_iter().map(|key| key.path).collect::<Vec<_>>();
    assert!(names("server").contains(&"server.limits.max_calls".to_owned()));
    assert_eq!(names("turn.silence_ms"), ["turn.silence_ms"]);
    assert!(names("tur").is_empty() && names("").len() > 100);
    let key = &keys("advanced.frame_ms")[0];
    assert_eq!(key.environment, ["ANTIPHON_ADVANCED__FRAME_MS"]);
    assert_eq!(key.check.as_deref(), Some("a multiple of 20 between 20 and 200"));
}

#[test]
fn old_names_go_on_working_and_name_the_new_one() {
    let vars = [("ANTIPHON_POOL__THREADS", "3")];
    let effective = load_text("[server]\nframe_ms = 40\n[pool]\nmax_batch = 2", &vars).expect("loads");
    let advanced = &effective.config.advanced;
    assert_eq!((advanced.frame_ms, advanced.model_threads, advanced.model_batch), (40, Some(3), 2));
    assert_eq!(
        effective.warnings,
        [
            "antiphon.toml: [server] frame_ms is now [advanced] frame_ms",
            "antiphon.toml: [pool] max_batch is now [advanced] model_batch",
            "ANTIPHON_POOL__THREADS is now ANTIPHON_ADVANCED__MODEL_THREADS",
        ]
    );
    let both = [("ANTIPHON_ADVANCED__VAD_GATE", "true"), ("ANTIPHON_VAD__GATE", "false")];
    assert!(load_text("", &both).expect("loads").config.advanced.vad_gate, "also of variables");
    let both = load_text("[vad]\ngate = false\n[advanced]\nvad_gate = true", &[]).expect("loads");
    assert!(both.config.advanced.vad_gate, "the new name goes first");
    let message = error("\n[server]\nframe_ms = 30", &[]);
    assert!(message.contains("antiphon.toml:3: [advanced] frame_ms = 30"), "{message}");
    assert_eq!(current_name("pool.threads"), "advanced.model_threads");
}

/// The keys that have moved, each with its old name and a value that is not its default.
fn moved() -> Vec<(String, String, String)> {
    let keys = keys("");
    let moved =
        keys.iter().flat_map(|key| key.aliases.iter().filter(|a| a.deprecated).map(move |a| (key, a)));
    let value = |key: &KeyInfo| match (&key.default, key.example) {
        (serde_json::Value::Bool(on), _) => (!on).to_string(),
        (serde_json::Value::Number(_), _) if key.path == "advanced.frame_ms" => "40".to_owned(),
        (serde_json::Value::Number(_), _) if key.path == "llm.llama.context" => "4096".to_owned(),
        (serde_json::Value::Number(_), _) if key.kind == "number" => "0.5".to_owned(),
        (serde_json::Value::Number(_), _) => "9".to_owned(),
        (_, example) => example.expect("an example").to_owned(),
    };
    moved.map(|(key, alias)| (alias.path.clone(), key.path.clone(), value(key))).collect()
}

#[test]
fn every_old_name_is_accepted_in_files_and_in_the_environment_with_one_warning() {
    let set = |key: &str, value: &str| {
        let (section, key) = key.rsplit_once('.').expect("a section");
        format!("[{section}]\n{key} = {value}\n")
    };
    let bracketed = |path: &str| {
        let (section, key) = path.rsplit_once('.').expect("a section");
        format!("[{section}] {key}")
    };
    for (old, new, value) in moved() {
        let now = load_text(&set(&new, &value), &[]).expect("loads");
        assert_ne!(now.config, Config::default(), "{new} = {value}");
        let file = load_text(&set(&old, &value), &[]).expect("loads");
        assert_eq!(file.config, now.config, "{old}");
        assert_eq!(file.warnings, [format!("antiphon.toml: {} is now {}", bracketed(&old), bracketed(&new))]);
        let environment = load_text("", &[(&variable(&old), &value)]).expect("loads");
        assert_eq!(environment.config, now.config, "{old}");
        assert_eq!(environment.warnings, [format!("{} is now {}", variable(&old), variable(&new))]);
        assert!(keys(&old).iter().any(|key| key.path == new), "{old} is explained");
    }
}

#[test]
fn what_few_people_need_stands_under_advanced() {
    let moved = moved();
    let count = |old: &str, new: &str| {
        moved.iter().filter(|(from, to, _)| from.starts_with(old) && to.starts_with(new)).count()
    };
    assert_eq!(count("fallback.", "advanced.fallback."), 7);
    assert_eq!(count("cache.", "advanced.cache."), 10);
    assert_eq!(count("turn.speculate_ms", "advanced.speculate_ms"), 1);
    for stage in ["stt", "llm", "tts", "embed"] {
        let (old, new) = (format!("{stage}.max_concurrent"), format!("{stage}.advanced.max_concurrent"));
        assert_eq!(count(&old, &new), 1, "{stage}");
    }
    assert_eq!(count("embed.max_batch", "embed.advanced.max_batch"), 1);
}

#[test]
fn each_engine_of_a_list_keeps_its_own_limit_under_both_names() {
    let text = r#"
        [stt]
        max_concurrent = 3
        engine = "deepgram"
        engines = [
            "deepgram",
            "openai",
            { engine = "openai", max_concurrent = 5 },
            { engine = "openai", advanced = { max_concurrent = 7 } },
        ]
    "#;
    let effective = load_text(text, &[]).expect("loads");
    let limits = effective.config.stt.engines.iter().map(|engine| engine.advanced.max_concurrent);
    assert_eq!(limits.collect::<Vec<_>>(), [Some(3), None, Some(5), Some(7)]);
    assert_eq!(
        effective.warnings,
        ["antiphon.toml: [stt] max_concurrent is now [stt.advanced] max_concurrent"]
    );
}

#[test]
fn an_old_section_may_be_empty_and_its_misspelt_keys_are_found() {
    assert_eq!(load_text("[fallback]", &[]).expect("loads").config, Config::default());
    let message = error("[fallback]\nhedge = true\nllm_frist_ms = 1", &[]);
    assert!(message.contains("antiphon.toml:3"), "{message}");
    assert!(message.contains("did you mean `llm_first_ms` in [advanced.fallback]?"), "{message}");
    let message = error("[cache]\nreply_tll_s = 1", &[]);
    assert!(message.contains("did you mean `reply_ttl_s` in [advanced.cache]?"), "{message}");
    let message = error("\n[fallback]\nhedge_share = 2", &[]);
    assert!(message.contains("antiphon.toml:3: [advanced.fallback] hedge_share = 2"), "{message}");
}

#[test]
fn sections_within_sections_can_be_set_in_the_environment() {
    let vars = [("ANTIPHON_SERVER__LIMITS__MAX_CALLS", "7")];
    let effective = load_text("[server.limits]\ndrain_s = 1", &vars).expect("loads");
    let limits = &effective.config.server.limits;
    assert_eq!((limits.max_calls, limits.drain_s), (Some(7), 1));
    let origin = |key: &str| effective.origins.iter().find(|(k, _)| k == key).map(|(_, o)| o.to_string());
    assert_eq!(origin("server.limits.drain_s").as_deref(), Some("antiphon.toml"));
    let message = error("", &[("ANTIPHON_SERVER__LIMITS__MAX_CALLS", "0")]);
    assert_eq!(
        message,
        "ANTIPHON_SERVER__LIMITS__MAX_CALLS: [server.limits] max_calls = 0 must be between 1 and 1000000"
    );
}

#[test]
fn an_empty_secret_is_refused() {
    let message = error("[telephony]\ntwilio_auth_token = \"\"", &[]);
    assert!(message.contains("[telephony] twilio_auth_token = (an empty secret) must be"), "{message}");
    let message = error("[server]\napi_keys = [\"sk-1\", \" \"]", &[]);
    assert!(
        message.contains("[server] api_keys = (an empty secret)") && !message.contains("sk-1"),
        "{message}"
    );
    let message = error("[llm]\nengines = [{ engine = \"openai\", model = \"m\", api_key = \"\" }]", &[]);
    assert!(message.contains("api_key = (an empty secret)"), "{message}");
}

#[test]
fn vendors_own_their_options_also_in_lists_of_engines() {
    let text = r#"
        [tts]
        elevenlabs = { stability = 0.3 }
        engines = [{ engine = "elevenlabs", elevenlabs = { style = 0.2 } }, "piper"]
        [llm]
        engines = [{ engine = "openai", model = "m", openai = { reasoning_effort = "low" } }, "llama"]
    "#;
    let config = load_text(text, &[]).expect("loads").config;
    let voice = &config.tts.engines[0].elevenlabs;
    assert_eq!((voice.stability, voice.style), (0.3, 0.2));
    assert_eq!(config.llm.engines[0].openai.reasoning_effort.as_deref(), Some("low"));
    assert_eq!(config.llm.engines[1].openai.reasoning_effort.as_deref(), None);
    let message = error("[tts]\nengines = [{ engine = \"elevenlabs\", elevenlabs = { style = 2 } }]", &[]);
    assert_eq!(message, "antiphon.toml:2: [tts.elevenlabs] style = 2 must be between 0 and 1");
    let message = error("[tts]\nengines = [{ engine = \"elevenlabs\", stability = 0.3 }]", &[]);
    assert!(message.contains("it belongs in [tts.elevenlabs]"), "{message}");
    let message = error("[llm.openai]\nreasoning_effort = \"much\"", &[]);
    assert!(message.contains("antiphon.toml:2") && message.contains("\"minimal\""), "{message}");
}

#[test]
fn simulated_engines_are_set_in_both_places() {
    let text = "[llm]\nfirst_token_ms = 7\nfail_rate = 0.5\n[llm.sim]\ntokens = 3\n\
        [stt]\nengines = [{ engine = \"sim\", delay_ms = 9 }]\n[tts.sim]\nrealtime = false\nseed = 4";
    let effective = load_text(text, &[]).expect("loads");
    let Config { stt, llm, tts, .. } = &effective.config;
    assert_eq!((llm.sim.first_token_ms, llm.sim.tokens, llm.sim.faults.fail_rate), (7, 3, 0.5));
    assert_eq!(stt.engines[0].sim.delay_ms, 9);
    assert_eq!((tts.sim.realtime, tts.sim.faults.seed), (false, 4));
    assert!(effective.warnings.is_empty(), "{:?}", effective.warnings);
    assert!(error("[stt]\nfail_rate = 0.6\nstall_rate = 0.6", &[]).contains("at most 1 together"));
    assert!(error("[llm]\nfail_rate = 2", &[]).contains("between 0 and 1"));
}

#[test]
fn models_have_a_folder_of_their_own() {
    let dir = |text: &str, vars: &[(&str, &str)]| {
        load_text(text, vars).expect("loads").config.models_dir().expect("a folder").display().to_string()
    };
    assert_eq!(dir("[server]\ndata_dir = \"/data\"", &[]), "/data/models");
    let both = "[server]\ndata_dir = \"/data\"\nmodels_dir = \"/models\"";
    assert_eq!(dir(both, &[]), "/models");
    assert_eq!(dir(both, &[("ANTIPHON_MODELS", "/elsewhere")]), "/elsewhere");
}

#[test]
fn what_is_wrong_in_a_list_of_engines_is_found() {
    let message = error("[tts]\nengines = [\n  \"piper\",\n  { engine = \"kokoro\", sped = 1.2 },\n]", &[]);
    assert!(message.contains("antiphon.toml:4") && message.contains("`speed`"), "{message}");
    let message = error("[stt]\nengines = [\"moonshine\", \"deepgrm\"]", &[]);
    assert!(
        message.contains("antiphon.toml:2") && message.contains("did you mean \"deepgram\""),
        "{message}"
    );
}

#[test]
fn secrets_do_not_print() {
    let config = load_text("[server]\napi_keys = [\"s3cret\"]", &[]).expect("loads").config;
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!toml::to_string(&config).expect("TOML").contains("s3cret"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = load_text(&text, &[]);
    }
}
