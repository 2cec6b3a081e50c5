//! Short load tests against the program. The long ones are run by hand: see docs/performance/.

use serde_json::Value;

use crate::program::Place;

async fn load(place: &Place, url: &str, speech: &str, arguments: &[&str]) -> Value {
    let out = place.path("load.json").display().to_string();
    let common = ["--url", url, "--speech", speech, "--out", &out];
    let arguments: Vec<&str> = ["load"].iter().chain(arguments).chain(&common).copied().collect();
    let (code, table, error) = place.run(&arguments).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(table.contains("P95 MS") && table.contains("callers spoke"), "{table}");
    let html = std::fs::read_to_string(place.path("load.html")).expect("a page");
    assert!(html.contains("<svg"), "with plots");
    serde_json::from_str(&std::fs::read_to_string(out).expect("written")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_really_speak_are_answered_and_those_over_the_limit_hear_that_it_is_busy() {
    let clips = antiphon_testkit::testdata_files("telephone_speech", "wav");
    let clip =
        clips.iter().find(|path| std::fs::metadata(path).is_ok_and(|m| m.len() > 24_000)).expect("a clip");
    let clip = clip.display().to_string();
    let place = Place::new("[server.limits]\nmax_calls = 6\n");
    let server = place.serve().await;
    let socket = |path: &str| format!("{}{path}", server.url.replacen("http", "ws", 1));
    let twilio = socket("/telephony/twilio/media");
    let report =
        load(&place, &twilio, &clip, &["sustained", "--calls", "4", "--rate", "0.5", "--duration", "14"])
            .await;
    let totals = &report["totals"];
    assert!(totals["answered"].as_u64() >= Some(4), "{totals}");
    assert_eq!((&totals["missed"], &totals["busy"], &totals["hung_up"]), (&0.into(), &0.into(), &0.into()));
    assert!(
        totals["latency"]["p50_ms"].as_f64().is_some_and(|ms| ms > 300.0),
        "silence comes first: {totals}"
    );
    let number = |name: &str| totals[name].as_f64().expect("a number");
    let (spoken, wanted) = (number("caller_speech_share"), report["speech_share_wanted"].as_f64());
    assert!(wanted.is_some_and(|wanted| (0.1..=wanted * 1.2).contains(&spoken)), "{spoken} of {wanted:?}");
    assert!(number("question_mean_s") > 0.5 && number("questions") >= number("answered"), "{totals}");
    assert!(number("reply_mean_s") > 0.1 && number("agent_speech_share") > 0.0, "{totals}");
    assert!(number("frames") > 4.0 * 14.0 * 40.0 && number("frames_late") < number("frames"), "{totals}");
    assert!(totals["server"]["resident_bytes"].as_u64() > Some(1 << 20), "{totals}");
    assert!(report["machine"].as_str().is_some_and(|machine| machine.contains("cores")), "{report}");

    let arguments = ["spike", "--calls", "2", "--to", "12", "--ramp", "2", "--duration", "8"];
    let report = load(&place, &socket("/v1/realtime"), &clip, &arguments).await;
    let totals = &report["totals"];
    assert!(totals["busy"].as_u64() >= Some(4), "twelve calls and six lines: {totals}");
    assert!(totals["answered"].as_u64() >= Some(1), "{totals}");
    assert_eq!(totals["hung_up"], 0, "calls in progress go on: {totals}");
    server.stop().await;
}
