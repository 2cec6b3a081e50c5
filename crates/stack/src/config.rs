//! The configuration: one TOML file, environment variables over it, command-line flags over those.
//!
//! Every key is optional, unknown ones are refused with the nearest known one, and secrets never print.

mod engines;
mod layers;
mod sections;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use layers::Origin;
pub use sections::{
    Agent, Cache, Config, Embed, Emotion, EmotionEngine, Fallback, Kb, Limits, Llm, Memory, Pool, ReplyCache,
    Secret, Server, Stt, Telemetry, Telephony, Tls, Tts, Turn, TurnEngine, Vad, VadEngine,
};

/// The configuration in force and where each value came from.
#[derive(Debug)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// `section.key` and its origin; what is missing here is a default.
    pub origins: Vec<(String, Origin)>,
}

/// Settings that `antiphon optimize --apply` found better on this machine, in the data directory. What a person wrote
/// goes over them.
pub const TUNED: &str = "tuned.toml";

/// `[server] frame_ms`: multiples of the least. Telephone frames are 20 ms; over 200 ms an interruption would be late.
pub(crate) const FRAME_MS: RangeInclusive<u64> = 20..=200;

/// Reads the configuration: what was tuned, over it `file` or else the first that exists of `./antiphon.toml` and
/// `$XDG_CONFIG_HOME/antiphon/antiphon.toml`, over it the environment. `data_dir` goes over all.
pub fn load(file: Option<&Path>, data_dir: Option<&Path>) -> Result<Effective> {
    let found = match file {
        Some(file) => Some(file.to_owned()),
        None => [PathBuf::from("antiphon.toml")].into_iter().chain(user_file()).find(|path| path.is_file()),
    };
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let text = found.as_deref().map_or_else(|| Ok(String::new()), read)?;
    let name = found.as_deref().map_or_else(String::new, |path| path.display().to_string());
    let located = |mut effective: Effective| {
        if let Some(dir) = data_dir {
            effective.config.server.data_dir = Some(dir.to_owned());
        }
        effective
    };
    let effective = located(resolve(&text, &name, None, std::env::vars())?);
    // Without a place for data there is nothing tuned.
    let tuned = effective.config.data_dir().map(|dir| dir.join(TUNED));
    let Some(tuned) = tuned.ok().filter(|path| path.is_file()) else { return Ok(effective) };
    let (text_below, name_below) = (read(&tuned)?, tuned.display().to_string());
    let resolved = resolve(&text, &name, Some((&text_below, &name_below)), std::env::vars());
    let advice =
        || format!("{name_below} was written for another version: `antiphon optimize --rollback` removes it");
    Ok(located(resolved.with_context(advice)?))
}

/// Reads a configuration from text alone.
#[cfg(fuzzing)]
pub fn parse(text: &str) -> Result<Effective> {
    resolve(text, "fuzz.toml", None, std::iter::empty())
}

/// Where a user keeps the file.
fn user_file() -> Option<PathBuf> {
    let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(home.join("antiphon/antiphon.toml"))
}

/// Puts the layers together and checks the result.
fn resolve(
    text: &str,
    name: &str,
    below: Option<(&str, &str)>,
    vars: impl Iterator<Item = (String, String)>,
) -> Result<Effective> {
    let vars: Vec<(String, String)> = vars.collect();
    let (mut table, mut origins) = layers::merge(text, name, &vars)?;
    if let Some((text, name)) = below {
        let (tuned, from) = layers::merge(text, name, &[])?;
        for (path, origin) in from {
            if let Some((section, key)) = path.split_once('.')
                && layers::put_below(&mut table, &tuned, section, key)
            {
                origins.push((path, origin));
            }
        }
    }
    let config = Config::try_from_table(table).map_err(|message| layers::locate(text, name, &message))?;
    check(&config)?;
    Ok(Effective { config, origins })
}

/// What types alone cannot say.
fn check(config: &Config) -> Result<()> {
    if !config.server.listen.ip().is_loopback() && config.server.api_keys.is_empty() {
        bail!(
            "[server] listen = \"{}\" lets the network in without a key: set api_keys, or listen on 127.0.0.1",
            config.server.listen
        );
    }
    if let Some(url) = &config.telephony.public_url {
        let parsed: Option<reqwest::Url> = url.parse().ok();
        if !parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            bail!("[telephony] public_url = \"{url}\" does not begin with https:// or http://");
        }
    }
    if !(0.0..1.0).contains(&config.vad.threshold) {
        bail!("[vad] threshold = {} is not between 0 and 1", config.vad.threshold);
    }
    for (section, fail, stall) in [
        ("stt", config.stt.fail_rate, config.stt.stall_rate),
        ("llm", config.llm.fail_rate, config.llm.stall_rate),
        ("tts", config.tts.fail_rate, config.tts.stall_rate),
    ] {
        if fail < 0.0 || stall < 0.0 || fail + stall > 1.0 {
            bail!("[{section}] fail_rate and stall_rate are shares of the requests: 0 to 1 together");
        }
    }
    if !FRAME_MS.contains(&config.server.frame_ms)
        || !config.server.frame_ms.is_multiple_of(*FRAME_MS.start())
    {
        bail!("[server] frame_ms = {} is not a multiple of 20 between 20 and 200", config.server.frame_ms);
    }
    if config.server.worker_threads == Some(0) {
        bail!("[server] worker_threads is at least 1; leave it out for one a core");
    }
    if config.pool.threads == Some(0) || config.llm.threads == Some(0) {
        bail!("[pool] and [llm] threads is at least 1; leave it out for one a core");
    }
    if !(1..=32).contains(&config.pool.max_batch) {
        bail!("[pool] max_batch = {} is not between 1 and 32", config.pool.max_batch);
    }
    if !(8..=512).contains(&config.llm.prompt_batch) {
        bail!("[llm] prompt_batch = {} is not between 8 and 512", config.llm.prompt_batch);
    }
    if config.server.limits.max_calls == Some(0) {
        bail!("[server.limits] max_calls = 0 would refuse every call: set at least 1");
    }
    for (key, url) in [
        ("alert_webhook", config.telemetry.alert_webhook.as_ref().map(Secret::reveal)),
        ("otlp_endpoint", config.telemetry.otlp_endpoint.as_deref()),
    ] {
        let parsed = url.map(str::parse::<reqwest::Url>);
        if parsed.is_some_and(|url| !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https"))) {
            bail!("[telemetry] {key} is not an address that begins with https:// or http://");
        }
    }
    check_cache(&config.cache)?;
    if !(0.25..=4.0).contains(&config.tts.speed) {
        bail!("[tts] speed = {} is not between 0.25 and 4", config.tts.speed);
    }
    check_prices(config)
}

fn check_prices(config: &Config) -> Result<()> {
    let Config { stt, llm, tts, .. } = config;
    let stt = [stt].into_iter().chain(&stt.engines).map(|stt| ("[stt] hour_price", stt.hour_price));
    let llm = [llm].into_iter().chain(&llm.engines).flat_map(|llm| {
        [
            ("[llm] input_price", llm.input_price),
            ("[llm] cached_price", llm.cached_price),
            ("[llm] output_price", llm.output_price),
        ]
    });
    let tts = [tts].into_iter().chain(&tts.engines).map(|tts| ("[tts] million_price", tts.million_price));
    for (key, price) in stt.chain(llm).chain(tts) {
        if let Some(price) = price.filter(|price| !(0.0..f64::INFINITY).contains(price)) {
            bail!("{key} = {price} is no price: give what it costs, or leave it out");
        }
    }
    Ok(())
}

fn check_cache(cache: &Cache) -> Result<()> {
    let ttls = [
        ("ttl_s", Some(cache.ttl_s)),
        ("reply_ttl_s", cache.reply_ttl_s),
        ("speech_ttl_s", cache.speech_ttl_s),
        ("embedding_ttl_s", cache.embedding_ttl_s),
        ("result_ttl_s", cache.result_ttl_s),
    ];
    if let Some((key, _)) = ttls.into_iter().find(|(_, ttl)| *ttl == Some(0)) {
        bail!("[cache] {key} = 0 would keep nothing: switch the cache off instead");
    }
    let rooms = [
        ("reply_mb", cache.reply_mb),
        ("speech_mb", cache.speech_mb),
        ("embedding_mb", cache.embedding_mb),
        ("result_mb", cache.result_mb),
        ("disk_mb", cache.disk_mb),
    ];
    if let Some((key, mb)) = rooms.into_iter().find(|(_, mb)| !(1..=1 << 20).contains(mb)) {
        bail!("[cache] {key} = {mb} is not between 1 and 1048576");
    }
    if !(0.001..=0.2).contains(&cache.reply_error_bound) {
        bail!("[cache] reply_error_bound = {} is not between 0.001 and 0.2", cache.reply_error_bound);
    }
    let redis = cache.redis_url.as_ref().map(Secret::reveal);
    if redis.is_some_and(|url| !["redis://", "rediss://", "unix:"].iter().any(|s| url.starts_with(s))) {
        bail!("[cache] redis_url does not begin with redis://, rediss:// or unix:");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
        let example = include_str!("../../../antiphon.example.toml");
        assert_eq!(load_text(example, &[]).expect("loads").config, Config::default());
    }

    #[test]
    fn the_environment_goes_over_the_file_and_is_named_as_the_origin() {
        let vars = [("ANTIPHON_TURN__SILENCE_MS", "700"), ("ANTIPHON_AGENT__VOICE", "joe")];
        let effective =
            load_text("[turn]\nsilence_ms = 600\n[agent]\ngreeting = \"Hi\"", &vars).expect("loads");
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
        let Config { llm, pool, .. } = &effective.config;
        assert_eq!((llm.threads, llm.parallel, pool.threads), (Some(3), 6, Some(1)));
        let origin = |key: &str| effective.origins.iter().find(|(k, _)| k == key).map(|(_, o)| o.to_string());
        assert_eq!(origin("llm.threads").as_deref(), Some("tuned.toml"));
        assert_eq!(origin("llm.parallel").as_deref(), Some("antiphon.toml"));
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
        assert!(message.contains("silence_ms"), "{message}");
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
}
