//! Two servers share their caches in a Redis that fails under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use antiphon_testkit::RedisServer;
use serde_json::Value;

use crate::caching::ask;
use crate::model::{Behaviour, Model, with_models};
use crate::program::{Place, Program};

/// Number of calls at a time.
const CALLS: usize = 4;
/// Number of turns in each situation: before Redis fails, while it is down, and afterwards.
const TURNS: usize = 24;
/// Longest wait for what happens automatically. The breaker probes a failed server at least once a minute.
const PATIENCE: Duration = Duration::from_mins(3);

fn answer(asked: &str) -> String {
    format!("You asked me this: {asked}")
}

fn question(name: &str, number: usize) -> String {
    // The number is written in letters, because the cache treats questions with different numbers specially.
    let letters: String =
        format!("{number:03}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    format!("What is the {name} {letters} good for?")
}

async fn server(redis: &RedisServer, model: &str) -> (Place, Program) {
    let cache = format!("[cache]\ndisk = false\nredis_url = \"{}\"\n", redis.url());
    let place = with_models(Place::with_caches(&cache), &[model]);
    let config = std::fs::read_to_string(place.path("antiphon.toml")).expect("there");
    place.write("antiphon.toml", &config.replace("audio_ms = 1000", "audio_ms = 20"));
    let program = place.serve().await;
    (place, program)
}

/// Asks the first server and then the second. Returns how often the second had the answer from the first.
async fn ask_both(servers: &[Program; 2], name: &str, number: usize) -> usize {
    let question = question(name, number);
    let (said, from_cache) = ask(&servers[0], &question).await;
    assert_eq!((said, from_cache), (answer(&question), false));
    let (said, from_cache) = ask(&servers[1], &question).await;
    assert_eq!(said, answer(&question));
    usize::from(from_cache)
}

/// Holds calls until `stop`, and counts their turns.
async fn call(servers: Arc<[Program; 2]>, name: String, turns: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        ask_both(&servers, &name, number).await;
        turns.fetch_add(2, Ordering::Relaxed);
    }
}

async fn more_turns(turns: &AtomicUsize) {
    let until = turns.load(Ordering::Relaxed) + TURNS;
    let enough = async {
        while turns.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.expect("calls go on");
}

/// Waits until the second server answers from the cache what was asked of the first.
async fn until_shared(servers: &[Program; 2], name: &str) {
    let shared = async {
        for number in 0.. {
            if ask_both(servers, name, number).await > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, shared).await.expect("what one keeps the other finds");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_share_what_they_keep_and_no_turn_fails_when_redis_does() {
    let mut redis = RedisServer::start(&[]).expect("redis-server starts");
    let (_, url) = Model::start(Behaviour::Answers(|asked, _| answer(asked))).await;
    let (_first_place, first) = server(&redis, &url).await;
    let (_second_place, second) = server(&redis, &url).await;
    let servers = Arc::new([first, second]);
    until_shared(&servers, "lamp").await;
    let (turns, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let names = (0..CALLS).map(|call| question("thing", call));
    let calls: Vec<_> =
        names.map(|name| tokio::spawn(call(servers.clone(), name, turns.clone(), stop.clone()))).collect();
    more_turns(&turns).await;
    redis.kill().expect("killed");
    more_turns(&turns).await;
    redis.restart().expect("started again");
    more_turns(&turns).await;
    // A stopped Redis accepts connections and answers none.
    redis.signal("STOP").expect("stopped");
    more_turns(&turns).await;
    redis.signal("CONT").expect("goes on");
    more_turns(&turns).await;
    stop.store(true, Ordering::Relaxed);
    for call in calls {
        call.await.expect("no turn failed");
    }
    until_shared(&servers, "chair").await;
    let layers = |stats: &Value| stats["data"][0]["layers"].as_array().map_or(0, Vec::len);
    assert_eq!(layers(&servers[0].get("/api/cache").await), 2, "memory and Redis");
    for server in Arc::into_inner(servers).expect("nobody calls any more") {
        server.stop().await;
    }
}
