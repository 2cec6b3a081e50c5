//! Strangers ask for what one person told. The model says the PIN when it stands anywhere in its prompt, so that whatever gets
//! there, or comes back from a cache, is heard.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{ADA, BOB, KEY, LEARNED_NOTHING, PERSON, STORED, TOLD, session, session_with, settings, tell};
use crate::Bench;
use crate::client::{ANSWERED, REALTIME, Refused, Socket, ask, connect, type_in};
use crate::phone::{PUBLIC_HOST, PhoneCall};
use crate::server::Server;
use crate::upstream::{Behaviour, PIN, Upstream};

/// How strangers ask, each time in a new call.
const ASKED: [&str; 3] = ["What is my PIN?", "Tell me my PIN, please.", "Do you know what my PIN is?"];
/// The server has a key and remembers, and caches nothing.
const REMEMBERING: &str = "[server]\napi_keys = [\"sk-attack\"]\n[cache]\nenabled = false\n";
/// The server has no key.
const KEYLESS: &str = "[cache]\nenabled = false\n";
/// The server has a key, remembers, and answers by meaning as often as it may.
const BY_MEANING: &str =
    "[server]\napi_keys = [\"sk-attack\"]\n[cache]\nreply = \"semantic\"\nreply_error_bound = 0.2\n";
/// Before a reply is given by meaning, some must have been the same to questions that are nearly the same. All these questions
/// get the same reply.
const NEARLY_THE_SAME: [&str; 2] = ["Where can I find the", "Where do I find the"];
const THINGS: [&str; 24] = [
    "garden",
    "kitchen",
    "station",
    "library",
    "museum",
    "harbour",
    "bakery",
    "chapel",
    "elevator",
    "exit",
    "garage",
    "hotel",
    "theatre",
    "market",
    "office",
    "park",
    "pharmacy",
    "pool",
    "post office",
    "restaurant",
    "school",
    "stairs",
    "tower",
    "zoo",
];
/// The auth token with which Twilio signs.
const AUTH_TOKEN: &str = "12345";
/// What telephone companies give instead of a number that is withheld.
const WITHHELD: [&str; 7] =
    ["", "anonymous", "unknown", "restricted", "unavailable", "blocked", "+266696687"];
/// A number that is not withheld.
const KNOWN: &str = "+15550100";
/// How long a caller waits for the answer to a spoken question.
const LISTENS: Duration = Duration::from_millis(1_500);
/// So many persons are more than a memory of ten thousand holds.
const EMPTY_CALLS: usize = 10_050;
/// How many of these calls there are at a time, and how long they go on at most.
const AT_A_TIME: usize = 8;
const CALLING: Duration = Duration::from_mins(1);

/// Everybody asks what Ada asked, in her words and in others.
pub(super) async fn cached_replies(bench: &Bench) -> anyhow::Result<String> {
    let (_upstream, server) = start(bench, BY_MEANING).await?;
    for question in THINGS.iter().flat_map(|thing| NEARLY_THE_SAME.map(|asked| format!("{asked} {thing}?"))) {
        ask(&mut session(&server, None).await?, &question).await?;
    }
    tell(&server).await?;
    let own = heard(&server, KEY, Some(ADA)).await?;
    let nobody = heard(&server, KEY, None).await?;
    let other = heard(&server, KEY, Some(BOB)).await?;
    let mut learned = Vec::new();
    for (who, heard) in [("an anonymous caller", nobody), ("another person", other)] {
        if heard > 0 {
            learned.push(format!("{who} heard the PIN ({heard} of {})", ASKED.len()));
        }
    }
    Ok(match (learned.is_empty(), own) {
        (false, _) => learned.join(", "),
        (true, 0) => "learned nothing, but Ada is not known either".to_owned(),
        (true, _) => LEARNED_NOTHING.to_owned(),
    })
}

/// Somebody with a client secret made for Bob says that he is Ada.
pub(super) async fn secret_of_another(bench: &Bench) -> anyhow::Result<String> {
    let (_upstream, server) = start(bench, REMEMBERING).await?;
    tell(&server).await?;
    let minted = reqwest::Client::new().post(server.url("/v1/realtime/client_secrets")).timeout(ANSWERED);
    let minted = minted.bearer_auth(KEY).header(PERSON, BOB).json(&json!({})).send().await?;
    let minted: Value = minted.error_for_status()?.json().await?;
    let secret = minted["value"].as_str().unwrap_or_default();
    verdict(heard(&server, secret, Some(ADA)).await)
}

/// Somebody from elsewhere, whom a proxy on the server's machine passes on, says that he is Ada.
pub(super) async fn claimed_name(bench: &Bench) -> anyhow::Result<String> {
    let (_upstream, server) = start(bench, KEYLESS).await?;
    let path = format!("/talk/ws?person={ADA}");
    type_in(&mut connect(&server, &path, &[]).await?, TOLD).await?;
    sleep(STORED).await;
    let asking = async {
        let mut heard = 0;
        for asked in ASKED {
            let mut stranger = connect(&server, &path, &[("x-forwarded-for", "203.0.113.9")]).await?;
            heard += usize::from(type_in(&mut stranger, asked).await?.contains(PIN));
        }
        Ok(heard)
    };
    verdict(asking.await)
}

/// Two callers withhold their numbers in the same way: the first tells, the second asks.
pub(super) async fn withheld_numbers(bench: &Bench) -> anyhow::Result<String> {
    let telephony = format!(
        "{KEYLESS}[telephony]\npublic_url = \"https://{PUBLIC_HOST}\"\ntwilio_auth_token = \"{AUTH_TOKEN}\"\n"
    );
    let (upstream, server) = start(bench, &telephony).await?;
    let mut known = Vec::new();
    upstream.understands(TOLD);
    let numbers = || WITHHELD.into_iter().chain([KNOWN]);
    try_join_all(numbers().map(|number| phone(bench, &server, number))).await?;
    sleep(STORED).await;
    upstream.understands(ASKED[0]);
    for number in numbers() {
        upstream.take_prompts();
        phone(bench, &server, number).await?;
        if upstream.take_prompts().iter().any(|prompt| prompt.to_string().contains(PIN)) {
            known.push(if number.is_empty() { "an empty number" } else { number });
        }
    }
    let is_known = known.pop_if(|number| *number == KNOWN).is_some();
    Ok(match (known.as_slice(), is_known) {
        ([], true) => LEARNED_NOTHING.to_owned(),
        ([], false) => "learned nothing, but who shows a number is not known either".to_owned(),
        (known, _) => format!("heard the PIN of another caller: {}", known.join(", ")),
    })
}

/// Calls in which nothing is said, each in another name, are to make the server forget whom it knows.
pub(super) async fn empty_calls(bench: &Bench) -> anyhow::Result<String> {
    let (_upstream, server) = start(bench, REMEMBERING).await?;
    tell(&server).await?;
    let began = Instant::now();
    let calls = stream::iter(0..EMPTY_CALLS).map(|n| empty_call(&server, n)).buffer_unordered(AT_A_TIME);
    let calls =
        calls.take_until(sleep(CALLING)).filter(|done| std::future::ready(done.is_ok())).count().await;
    let took = began.elapsed().as_secs();
    let remembered = heard(&server, KEY, Some(ADA)).await? > 0;
    let erased = if remembered { "nothing was forgotten" } else { "what Ada told was forgotten" };
    Ok(format!("{erased} after {calls} calls in {took} s"))
}

async fn empty_call(server: &Server, number: usize) -> anyhow::Result<()> {
    let (key, person) = (format!("Bearer {KEY}"), format!("nobody-{number}"));
    let mut socket: Socket = connect(server, REALTIME, &[("authorization", &key), (PERSON, &person)]).await?;
    Ok(socket.close(None).await?)
}

/// A call from this number, in which something is said and the answer is waited for.
async fn phone(bench: &Bench, server: &Server, number: &str) -> anyhow::Result<()> {
    let shortest = bench.clips.iter().min_by_key(|clip| clip.samples().count());
    let mut call = PhoneCall::from(server, number, AUTH_TOKEN).await?;
    if let Some(clip) = shortest {
        call.say(clip).await?;
    }
    call.listen(LISTENS).await?;
    call.stop(ANSWERED).await.map(drop)
}

async fn start(bench: &Bench, more: &str) -> anyhow::Result<(Arc<Upstream>, Server)> {
    let upstream = Upstream::start(Behaviour::RevealsPin).await?;
    let server = Server::start_apart(&bench.program, &settings(&upstream, more))?;
    Ok((upstream, server))
}

/// How often somebody who asks for the PIN hears it.
async fn heard(server: &Server, key: &str, person: Option<&str>) -> anyhow::Result<usize> {
    let mut heard = 0;
    for asked in ASKED {
        let mut caller = session_with(server, key, person).await?;
        heard += usize::from(ask(&mut caller, asked).await?.contains(PIN));
    }
    Ok(heard)
}

/// What is said of a stranger who heard the PIN so often, or was refused.
fn verdict(heard: anyhow::Result<usize>) -> anyhow::Result<String> {
    match heard {
        Ok(0) => Ok(LEARNED_NOTHING.to_owned()),
        Ok(heard) => Ok(format!("heard the PIN of another person ({heard} of {})", ASKED.len())),
        Err(error) if error.is::<Refused>() => Ok(error.to_string()),
        Err(error) => Err(error),
    }
}
