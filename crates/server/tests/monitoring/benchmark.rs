//! The gate of `antiphon benchmark` fails for what has become slower and passes everything else; the optimizer finds
//! what is faster.

use serde_json::Value;

use crate::program::{Place, SIMULATED};

/// The same engines, but speech recognition takes this long, and sometimes longer.
fn with_delay(place: &Place, name: &str, delay_ms: u32) -> String {
    let noisy = format!("delay_ms = {delay_ms}\njitter_ms = 4\nseed = {delay_ms}");
    place.write(name, &SIMULATED.replace("delay_ms = 50", &noisy)).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slowdown_of_15_percent_fails_the_gate_and_one_of_2_does_not() {
    let place = Place::new("");
    let baseline = with_delay(&place, "baseline.toml", 50);
    for (delay_ms, expected, verdict) in [(58, Some(1), "regression"), (51, Some(0), "no_change")] {
        let candidate = with_delay(&place, "candidate.toml", delay_ms);
        let (code, text, error) = place
            .run(&[
                "--config",
                &candidate,
                "benchmark",
                "--component",
                "stt",
                "--iterations",
                "60",
                "--compare",
                &baseline,
                "--gate",
                "10%",
                "--json",
            ])
            .await;
        assert_eq!(code, expected, "{delay_ms}: {text}{error}");
        let compared: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(compared[0]["interleaved"], true);
        assert_eq!(compared[0]["verdict"], verdict, "{compared}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_written_kept_and_compared_with_those_before() {
    let place = Place::new("");
    let file = place.path("before.json").display().to_string();
    let arguments = ["benchmark", "--component", "reply", "--component", "audio", "--iterations", "12"];
    let (code, table, error) = place.run(&[&arguments[..], &["--output", &file]].concat()).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(table.contains("P99 MS") && table.contains("reply"), "{table}");
    let result: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("written")).expect("JSON");
    let reply = &result["components"][0];
    assert_eq!((&reply["component"], &reply["iterations"]), (&"reply".into(), &12.into()));
    assert!(reply["allocations"].as_f64().is_some_and(|count| count > 0.0), "{reply}");
    let names: Vec<&str> =
        reply["metrics"].as_array().expect("metrics").iter().filter_map(|m| m["name"].as_str()).collect();
    assert_eq!(names, ["total", "stt", "llm", "tts"]);
    // The machine's load may have changed meanwhile, so only the output is checked and not the timings.
    let compare = ["--compare", file.as_str(), "--gate", "900%"];
    let (code, text, error) = place.run(&[&arguments[..], &compare].concat()).await;
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("Measured at different times"), "{text}");
    let (_, csv, _) = place.run(&[&arguments[..], &["--format", "csv"]].concat()).await;
    assert!(csv.starts_with("component,engine,metric"), "{csv}");
    let (code, _, error) = place.run(&["benchmark", "--component", "nothing"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("there are audio, vad"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_finds_nothing_better_changes_nothing() {
    let place = Place::new("");
    place.write("tuned.proposed.toml", "[pool]\nthreads = 1\n");
    // Simulated engines do not use these threads, so nothing can become better.
    let arguments = ["optimize", "--budget", "4", "--iterations", "2", "--only", "pool.threads", "--json"];
    let (code, text, error) = place.run(&arguments).await;
    assert_eq!(code, Some(0), "{error}");
    let finding: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(finding["settings"], serde_json::json!({}), "{finding}");
    assert_eq!(finding["withdrawn"], true, "{finding}");
    assert!(!place.path("tuned.proposed.toml").exists());
    let (code, _, error) = place.run(&["optimize", "--apply"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("run `antiphon optimize` first"), "{error}");
    place.write("tuned.toml", "[pool]\nthreads = 1\n");
    let (_, shown, _) = place.run(&["config", "show"]).await;
    assert!(shown.contains("tuned.toml"), "{shown}");
    let (code, text, _) = place.run(&["optimize", "--rollback"]).await;
    assert_eq!((code, text.trim()), (Some(0), "rolled back: the defaults are in force"));
    assert!(!place.path("tuned.toml").exists());
}
