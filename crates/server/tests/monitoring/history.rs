//! Measurements are still there after a restart, and a kill loses few of them.

use serde_json::Value;

use crate::program::Place;

fn turns(report: &Value) -> u64 {
    let components = report["components"].as_array().expect("components");
    let pipeline = components.iter().find(|one| one["name"] == "pipeline").expect("the pipeline");
    pipeline["stages"][0]["count"].as_u64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_turns_and_components_are_shown_and_survive_a_restart() {
    let place = Place::new("[server.limits]\nmax_calls = 7\n");
    let config = std::fs::read_to_string(place.path("antiphon.toml")).expect("there");
    place.write("antiphon.toml", &config.replace("[tts]", "input_price = 2.0\noutput_price = 8.0\n[tts]"));
    let server = place.serve().await;
    server.typed_call(&["one", "two"], None).await;
    let list = server.get("/api/performance/turns?limit=1").await;
    let turn = &list["data"][0];
    assert_eq!(turn["turn"], 2, "the latest first: {turn}");
    let step = |name: &str| {
        let steps = turn["steps"].as_array().expect("steps");
        steps.iter().find(|step| step["name"] == name).cloned().expect("a step")
    };
    let (llm, tts) = (step("llm"), step("tts"));
    assert!(llm["end_ms"].as_f64().expect("ms") <= tts["start_ms"].as_f64().expect("ms"), "{turn}");
    let calls = server.get("/api/calls").await;
    assert_eq!((&calls["limit"], &calls["has_more"]), (&7.into(), &false.into()));
    let report = server.get("/api/performance?minutes=60").await;
    assert_eq!(turns(&report), 2);
    let names: Vec<&str> = report["components"]
        .as_array()
        .expect("list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    for name in ["pipeline", "turn", "stt", "llm", "tts", "transport", "server", "pool", "calls", "process"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let history = server.get("/api/performance/history?minutes=15&points=10").await;
    assert!(history["at"].as_array().is_some_and(|at| !at.is_empty() && at.len() <= 10), "{history}");
    let grade = server.get("/api/performance/grade").await;
    assert!(grade["letter"].is_null(), "two turns are too few: {grade}");
    assert_eq!(server.get("/api/performance/recommendations").await["data"], serde_json::json!([]));
    for refused in ["/api/performance?minutes=0", "/api/performance/history?points=0", "/api/calls?limit=0"] {
        let answer = reqwest::get(format!("{}{refused}", server.url)).await.expect("answers");
        assert_eq!(answer.status(), 400, "{refused}");
    }
    server.stop().await;

    let server = place.serve().await;
    let report = server.get("/api/performance?minutes=1440").await;
    assert_eq!(turns(&report), 2, "what was measured before is kept");
    assert_eq!(turns(&server.get("/api/performance").await), 0, "this server has answered nothing");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_what_the_server_measured() {
    let place = Place::new("");
    let server = place.serve().await;
    server.typed_call(&["one"], None).await;
    let (code, table, _) = place.run(&["performance", "--url", &server.url]).await;
    assert_eq!(code, Some(0));
    assert!(table.contains("pipeline") && table.contains("process memory"), "{table}");
    let (_, json, _) =
        place.run(&["performance", "--url", &server.url, "--component", "llm", "--json"]).await;
    let report: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["components"].as_array().map(Vec::len), Some(1));
    let (_, csv, _) = place.run(&["performance", "--url", &server.url, "--export", "csv"]).await;
    assert!(csv.starts_with("component,stage,count"), "{csv}");
    let (_, text, _) = place.run(&["performance", "--url", &server.url, "--export", "prometheus"]).await;
    assert!(
        text.contains("antiphon_stage_seconds_count{component=\"llm\",stage=\"first_token\"} 1"),
        "{text}"
    );
    let (code, _, error) = place.run(&["performance", "--url", &server.url, "--component", "nothing"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("there is no component 'nothing'"), "{error}");
    server.stop().await;
}
