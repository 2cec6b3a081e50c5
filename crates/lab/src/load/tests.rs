//! Callers against small servers in the same process.

mod server;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::{FileFormat, encode_file};
use antiphon_core::{AudioChunk, SampleRate};

use super::*;
use server::{Behaviour, Server};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A WAV file of silence, a tone and silence again.
pub(super) fn tone(before_ms: usize, loud_ms: usize, after_ms: usize) -> Vec<u8> {
    let silence = |ms: usize| std::iter::repeat_n(0, ms * 16);
    let tone = (0..loud_ms * 16).map(|n| ((n as f64 * 0.3).sin() * 9_000.0) as i16);
    let samples: Vec<i16> = silence(before_ms).chain(tone).chain(silence(after_ms)).collect();
    encode_file(FileFormat::Wav, &AudioChunk::new(SampleRate::HZ_16000, samples)).expect("WAV")
}

fn speech() -> Arc<Speech> {
    Arc::new(Speech::new(&[tone(0, 200, 100), tone(100, 300, 0)]).expect("speech"))
}

/// A few callers who speak every 1.5 s.
fn plan(calls: usize, duration: Duration) -> Plan {
    Plan { window_s: 0.5, ..Plan::sustained(calls, 1.5, duration) }
}

async fn test(server: &Server, plan: Plan) -> Report {
    let target = Target::new(server.url(), None);
    run(target, plan, speech(), || None, |_| ()).await.expect("a sensible test")
}

#[tokio::test]
async fn latency_is_what_the_server_takes() {
    let server = Server::start(Behaviour::Answer(ms(300))).await;
    let report = test(&server, plan(6, ms(2_000))).await;
    let figures = &report.totals;
    assert!(figures.answered >= 9, "{figures:?}");
    assert_eq!((figures.missed, figures.failed(), figures.gaps.count), (0, 0, 0), "{figures:?}");
    assert!((285.0..450.0).contains(&figures.latency.p50_ms), "{figures:?}");
    assert_eq!((report.capacity, report.breaking_point), (Some(6), None));
    assert_eq!(figures.connect.count, 6);
    let answered: u64 = report.windows.iter().map(|window| window.figures.answered).sum();
    assert_eq!(answered, figures.answered, "windows are parts of the whole");
    assert!(report.windows.iter().any(|window| window.calls_up == 6));
}

#[tokio::test]
async fn callers_speak_as_much_of_the_time_as_planned() {
    let server = Server::start(Behaviour::Answer(ms(100))).await;
    let period_s = speech().period_s(SPEECH_SHARE);
    let plan = Plan { window_s: 0.5, ..Plan::sustained(8, period_s, ms(4_000)) };
    let report = test(&server, plan).await;
    let figures = &report.levels[0].figures;
    assert!((report.speech_share_wanted - SPEECH_SHARE).abs() < 1e-9, "{}", report.speech_share_wanted);
    assert!((0.3..0.42).contains(&figures.caller_speech_share), "{figures:?}");
    assert!((0.19..0.33).contains(&figures.question_mean_s), "{figures:?}");
    assert!((0.08..0.12).contains(&figures.reply_mean_s), "{figures:?}");
    assert!((0.05..0.25).contains(&figures.agent_speech_share), "{figures:?}");
    assert!(figures.frames > 8 * 150, "{figures:?}");
}

#[tokio::test]
async fn realtime_is_spoken_too() {
    let server = Server::start(Behaviour::Answer(ms(300))).await;
    let target = Target::new(format!("{}/v1/realtime?model=m", server.url()), Some("key".to_owned()));
    let report = run(target, plan(2, ms(1_000)), speech(), || None, |_| ()).await.expect("a sensible test");
    assert_eq!((report.totals.missed, report.totals.failed()), (0, 0), "{report:?}");
    assert!((285.0..450.0).contains(&report.totals.latency.p50_ms), "{:?}", report.totals);
    assert!(!serde_json::to_string(&report).expect("JSON").contains("model=m"), "no query is kept");
}

/// Callers and server stop together, as on a machine that stalls. A measurement that starts when the question was really sent
/// would not show it, because the question was sent late.
#[tokio::test]
async fn a_stall_is_in_the_latency_of_the_turns_due_in_it() {
    const STALL: Duration = ms(1_000);
    let server = Server::start(Behaviour::Answer(ms(100))).await;
    let stall = tokio::spawn(async {
        tokio::time::sleep(ms(2_500)).await;
        std::thread::sleep(STALL);
    });
    let report = test(&server, plan(10, ms(3_000))).await;
    stall.await.expect("slept");
    let (naive, found) = (server.p95(), report.totals.latency);
    assert!(naive < ms(300), "measured from the real end of the question: {naive:?}");
    assert!(found.p95_ms > 500.0 && found.max_ms > 800.0, "{found:?}");
    assert!(
        report.totals.lateness.max_ms > 900.0,
        "whose fault it was is told: {:?}",
        report.totals.lateness
    );
    assert!((10 * 40..=report.totals.frames).contains(&report.totals.frames_late), "{:?}", report.totals);
    assert_eq!(report.totals.missed, 0);
}

#[tokio::test]
async fn a_server_that_pauses_does_not_stop_the_callers() {
    let server = Server::start(Behaviour::Pause { delay: ms(50), from: ms(2_000), until: ms(3_000) }).await;
    let report = test(&server, plan(10, ms(3_000))).await;
    let figures = &report.totals;
    assert!(figures.latency.max_ms > 800.0, "{figures:?}");
    // Each caller asks once in 1.5 s, and the server pauses for a third of the measured time.
    assert!(figures.latency.p95_ms > 500.0 && figures.latency.p50_ms < 300.0, "{figures:?}");
    assert!(figures.lateness.p99_ms < 200.0, "it was not the callers' fault: {figures:?}");
}

#[tokio::test]
async fn refused_calls_are_busy() {
    let server = Server::start(Behaviour::Refuse).await;
    let report = test(&server, plan(3, ms(500))).await;
    let figures = &report.totals;
    assert!(figures.busy >= 3, "{figures:?}");
    assert_eq!((figures.busy, figures.turns), (figures.failed(), 0), "{figures:?}");
    assert_eq!((report.capacity, report.breaking_point), (None, Some(3)));
    assert!(report.first_failure.is_some_and(|failure| failure.contains("503")));
}

#[tokio::test]
async fn a_server_that_hangs_up_or_talks_nonsense_is_called_again() {
    let hangs_up = Server::start(Behaviour::HangUp).await;
    let babbles = Server::start(Behaviour::Nonsense).await;
    let (hung_up, nonsense) =
        tokio::join!(test(&hangs_up, plan(3, ms(1_500))), test(&babbles, plan(3, ms(1_500))));
    let (hung_up, nonsense) = (hung_up.totals, nonsense.totals);
    assert!(hung_up.hung_up >= 4 && hung_up.failed() == hung_up.hung_up, "{hung_up:?}");
    assert!(nonsense.protocol_errors >= 4 && nonsense.failed() == nonsense.protocol_errors, "{nonsense:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_at_once() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", free.local_addr().expect("an address"));
    drop(free);
    let test = run(Target::new(url, None), plan(2, Duration::from_hours(1)), speech(), || None, |_| ());
    let error = tokio::time::timeout(Duration::from_secs(20), test)
        .await
        .expect("at once")
        .expect_err("nobody there");
    assert!(error.to_string().contains("is the server running"), "{error}");
}

#[tokio::test]
async fn turns_without_a_reply_are_missed_and_the_test_ends() {
    let server = Server::start(Behaviour::Silent).await;
    let ended = tokio::time::timeout(Duration::from_secs(8), test(&server, plan(3, ms(1_500)))).await;
    let report = ended.expect("ends in time");
    assert!(report.totals.missed >= 3 && report.totals.answered == 0, "{:?}", report.totals);
    assert_eq!(report.breaking_point, Some(3));
}

#[tokio::test]
async fn a_stress_test_finds_what_a_server_holds_and_how_it_recovers() {
    let server = Server::start(Behaviour::Room { calls: 5, delay: ms(100) }).await;
    let mut plan = Plan { window_s: 0.5, ..Plan::stress(2, 2, ms(1_500), 20, 1.0) };
    for phase in &mut plan.phases {
        phase.duration_s = phase.duration_s.min(1.0);
    }
    let mut told = 0;
    let report = run(
        Target::new(server.url(), None),
        plan,
        speech(),
        || Some(ServerUsage { cpu_s: 1.0, resident_bytes: 1 << 20 }),
        |_| told += 1,
    );
    let report = report.await.expect("a sensible test");
    let levels: Vec<_> = report.levels.iter().map(|level| (level.calls, level.broken)).collect();
    assert_eq!(levels, [(2, false), (4, false), (6, true)], "{report:?}");
    assert_eq!((report.capacity, report.breaking_point), (Some(4), Some(6)));
    assert!(report.recovery_s.is_some(), "{:?}", report.windows);
    assert_eq!(told, report.windows.len());
    let server = report.levels[0].figures.server.expect("known");
    assert_eq!((server.resident_bytes, server.cpu_ms_per_call_second), (1 << 20, Some(0.0)));
}

#[tokio::test]
async fn questions_longer_than_their_time_are_refused() {
    let target = Target::new("ws://h", None);
    let plan = Plan::sustained(10, 0.1, ms(1_000));
    let error = run(target, plan, speech(), || None, |_| ()).await.expect_err("too often");
    assert!(matches!(error, LoadError::TooOften { .. }), "{error}");
}

/// Measures what a caller costs: `cargo test --release -p antiphon-lab --lib load -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_caller() {
    let calls = std::env::var("CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(1_000);
    let (url, server) = server::sink_process();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let plan = Plan::sustained(calls, 10.0, Duration::from_secs(20));
    let report = runtime.block_on(run(Target::new(url, None), plan, speech(), || None, |_| ()));
    drop(server);
    let report = report.expect("a sensible test");
    let (level, figures) = (&report.levels[0].figures, &report.totals);
    println!("{calls} calls: {:?} CPU ms/call-s", level.generator_cpu_ms_per_call_second);
    println!("lateness {:?}\nconnect {:?}\nfailed {}", level.lateness, figures.connect, figures.failed());
}

/// The server of [`cost_of_a_caller`], in a process of its own.
#[test]
#[ignore = "a helper of another test"]
fn sink() {
    server::sink();
}
