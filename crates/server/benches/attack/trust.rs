//! Section B, privacy and trust: strangers want to hear what one person told, to be taken for somebody else, or to put words into
//! others' mouths. A line tells what they learned.

mod data;
mod doors;
mod persons;
mod text;

use std::time::Duration;

use crate::client::{Socket, ask, realtime};
use crate::server::Server;
use crate::upstream::Upstream;
use crate::{Attack, Bench};

/// The server's key, where it has one.
const KEY: &str = "sk-attack";
/// The header that names the person of a session.
const PERSON: &str = "openai-safety-identifier";
/// The person whom strangers want to know about, and another one.
const ADA: &str = "ada";
const BOB: &str = "bob";
/// What Ada tells. The PIN is that of [`crate::upstream::PIN`].
const TOLD: &str = "My PIN is 4711.";
/// Time after which a reply is cached and its memory stored, also on disk.
const STORED: Duration = Duration::from_millis(1_500);
/// The verdict on an attack that failed.
const LEARNED_NOTHING: &str = "learned nothing";

/// An attack on what others told, or on who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intrusion {
    CachedReplies,
    SecretOfAnother,
    ClaimedName,
    WithheldNumbers,
    EmptyCalls,
    DataAtRest,
    ListOfEntries,
    EmptySecrets,
    ForeignHost,
    ForwardedHost,
    ControlTokens,
    ForgedLogLine,
}

impl Attack for Intrusion {
    const SECTION: &str = "B";
    const TITLE: &str = "privacy and trust: one person told a PIN, others want to know it";
    const HEADER: &[&str] = &["attack", "what came of it"];
    const ALL: &[Self] = &[
        Self::CachedReplies,
        Self::SecretOfAnother,
        Self::ClaimedName,
        Self::WithheldNumbers,
        Self::EmptyCalls,
        Self::DataAtRest,
        Self::ListOfEntries,
        Self::EmptySecrets,
        Self::ForeignHost,
        Self::ForwardedHost,
        Self::ControlTokens,
        Self::ForgedLogLine,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::CachedReplies => "asking what another asked, replies cached by meaning",
            Self::SecretOfAnother => "a client secret, and the name of another person",
            Self::ClaimedName => "another's name in the address, through a proxy",
            Self::WithheldNumbers => "calling with a withheld number",
            Self::EmptyCalls => "10,050 calls in which nothing is said",
            Self::DataAtRest => "reading the data folder after `cache clear`",
            Self::ListOfEntries => "reading the list of cache entries",
            Self::EmptySecrets => "a secret that is set but empty",
            Self::ForeignHost => "another site's name for this machine (DNS rebinding)",
            Self::ForwardedHost => "a page of another site, with X-Forwarded-Host",
            Self::ControlTokens => "control tokens in a text",
            Self::ForgedLogLine => "a line break in a call's fields",
        }
    }

    async fn row(self, bench: &Bench) -> anyhow::Result<Vec<String>> {
        let learned = match self {
            Self::CachedReplies => persons::cached_replies(bench).await,
            Self::SecretOfAnother => persons::secret_of_another(bench).await,
            Self::ClaimedName => persons::claimed_name(bench).await,
            Self::WithheldNumbers => persons::withheld_numbers(bench).await,
            Self::EmptyCalls => persons::empty_calls(bench).await,
            Self::DataAtRest => data::at_rest(bench).await,
            Self::ListOfEntries => data::list_of_entries(bench).await,
            Self::EmptySecrets => doors::empty_secrets(bench).await,
            Self::ForeignHost => doors::foreign_host(bench).await,
            Self::ForwardedHost => doors::forwarded_host(bench).await,
            Self::ControlTokens => text::control_tokens(bench).await,
            Self::ForgedLogLine => text::forged_log_line(bench).await,
        };
        Ok(vec![learned?])
    }
}

/// The configuration with engines of this upstream, and `more`.
fn settings(upstream: &Upstream, more: &str) -> String {
    let engine = upstream.engine();
    format!(
        "[turn]\nengine = \"silence\"\nsilence_ms = 300\n[stt]\n{engine}[llm]\n{engine}\
        [tts]\nengine = \"sim\"\naudio_ms = 200\n[telemetry]\nlog = \"warn\"\n{more}"
    )
}

/// A session of OpenAI Realtime with the server's key, by this person or by nobody in particular.
async fn session(server: &Server, person: Option<&str>) -> anyhow::Result<Socket> {
    session_with(server, KEY, person).await
}

/// The same with another key, or with a client secret.
async fn session_with(server: &Server, key: &str, person: Option<&str>) -> anyhow::Result<Socket> {
    let key = format!("Bearer {key}");
    let mut headers = vec![("authorization", key.as_str())];
    headers.extend(person.map(|person| (PERSON, person)));
    realtime(server, &headers).await
}

/// Ada tells her PIN, and it is remembered.
async fn tell(server: &Server) -> anyhow::Result<()> {
    ask(&mut session(server, Some(ADA)).await?, TOLD).await?;
    tokio::time::sleep(STORED).await;
    Ok(())
}
