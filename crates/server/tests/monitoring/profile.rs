//! Profiles of the running server.

use std::time::Duration;

use antiphon_telemetry::profile::{Kind, Profile};

use crate::program::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_work_is_profiled_by_component_and_call() {
    let place = Place::new("");
    let server = place.serve().await;
    let url = server.url.clone();
    let work = async {
        loop {
            server.typed_call(&["one", "two", "three"], None).await;
        }
    };
    let file = place.path("profile.json").display().to_string();
    let arguments = ["profile", "--url", &url, "--duration", "3", "--output", &file];
    let taken = place.run(&arguments);
    let (code, table, error) = tokio::select! {
        done = taken => done,
        () = work => unreachable!("it goes on"),
    };
    assert_eq!(code, Some(0), "{error}");
    assert!(table.contains("COMPONENT") && table.contains("FUNCTION"), "{table}");
    let text = std::fs::read_to_string(&file).expect("written");
    let profile: Profile = serde_json::from_str(&text).expect("a profile");
    assert_eq!(profile.kind, Kind::Cpu);
    assert!(profile.total > 0 && profile.duration_s >= 3.0, "{}", profile.total);

    let svg = place.path("flame.svg").display().to_string();
    let (code, ..) = place.run(&["profile", "--url", &url, "--duration", "1", "--output", &svg]).await;
    assert_eq!(code, Some(0));
    assert!(std::fs::read_to_string(&svg).is_ok_and(|svg| svg.contains("<svg")));
    let (code, _, error) = place.run(&["profile", "--url", &url, "--output", "flame.png"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains(".svg"), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_profiled_and_two_profiles_at_once_are_refused() {
    let place = Place::new("");
    let server = place.serve().await;
    let first = async {
        let (code, text, error) =
            place.run(&["profile", "--url", &server.url, "--memory", "--duration", "4", "--json"]).await;
        assert_eq!(code, Some(0), "{error}");
        let profile: Profile = serde_json::from_str(&text).expect("a profile");
        assert_eq!((profile.kind, profile.unit.as_str()), (Kind::Heap, "bytes"));
    };
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (code, _, error) =
            place.run(&["profile", "--url", &server.url, "--memory", "--duration", "1"]).await;
        assert_eq!(code, Some(1));
        assert!(error.contains("another profile"), "{error}");
    };
    tokio::join!(first, second);
    server.stop().await;
}
