//! Callers who withhold their number are nobody: they never share one person's memories. See docs/telephony.md.

use std::sync::Arc;

use antiphon_agent::Agent;
use antiphon_server::settings::Settings;
use antiphon_transports::telephony::TelephonySettings;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::memories::AskedFor;
use crate::support::tools::until;
use crate::support::{Server, agent, engines};

/// What vendors give instead of a number.
const WITHHELD: [&str; 12] = [
    "",
    "anonymous",
    "Anonymous",
    "unknown",
    "restricted",
    "unavailable",
    "blocked",
    "+266696687",
    "+7378742833",
    "+2562533",
    "+8656696",
    "+86282452253",
];
/// A number that is not withheld.
const KNOWN: &str = "+15550100";
/// The auth token in the server's configuration, and the signatures that are made with it.
const AUTH_TOKEN: &str = "12345";
/// Computed with: `printf 'wss://voice.example.com/telephony/twilio/media' | openssl dgst -sha1 -hmac 12345 -binary | base64`
const SOCKET_SIGNATURE: &str = "IgycJABJRrFVIdkZunYq3mSHfGg=";
/// The same for `https://voice.example.com/telephony/twilio?CallSid=CA1&From=%2B15550100`.
const GET_SIGNATURE: &str = "36fhJbXH6zwkKrgaREEmIyumJ8g=";
/// The token that Telnyx shows.
const STREAM_TOKEN: &str = "a stream's token";

/// A server that believes what the telephone companies say of callers.
fn server(memories: Arc<AskedFor>) -> Server {
    let telephony = TelephonySettings {
        public_url: Some("https://voice.example.com".parse().unwrap()),
        twilio_auth_token: Some(AUTH_TOKEN.to_owned()),
        telnyx_stream_token: Some(STREAM_TOKEN.to_owned()),
        ..TelephonySettings::default()
    };
    let agent = Agent { memories: Some(memories), ..agent() };
    Server::start_with(Settings { telephony, ..Settings::default() }, agent, engines())
}

/// Holds a call that begins with this start message, and waits until it is over.
async fn call(server: &Server, path: &str, proof: (&'static str, &str), start: Value) {
    let mut request = server.socket(path).into_client_request().unwrap();
    request.headers_mut().insert(proof.0, proof.1.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.expect("let in");
    for message in
        [json!({ "event": "start", "streamSid": "MZ1", "start": start }), json!({ "event": "stop" })]
    {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    until("the call is over", || server.app.desk.calls.active() == 0).await;
}

#[tokio::test]
async fn callers_who_withhold_their_number_are_nobody() {
    let memories = Arc::<AskedFor>::default();
    let server = server(Arc::clone(&memories));
    for from in WITHHELD.into_iter().chain([KNOWN]) {
        let twilio = json!({ "streamSid": "MZ1", "customParameters": { "from": from } });
        call(&server, "/telephony/twilio/media", ("x-twilio-signature", SOCKET_SIGNATURE), twilio).await;
        let telnyx = json!({ "call_control_id": "v3:1", "from": from });
        call(&server, "/telephony/telnyx/media", ("x-telnyx-streaming-auth-token", STREAM_TOKEN), telnyx)
            .await;
    }
    assert_eq!(memories.persons(), [KNOWN, KNOWN], "one call by each company");
}

#[tokio::test]
async fn a_webhook_by_get_passes_the_caller_on_like_one_by_post() {
    let server = server(Arc::default());
    let get = async |query: &str, signature: &str| {
        let get = reqwest::Client::new().get(server.url(&format!("/telephony/twilio?{query}")));
        let answer = get.header("x-twilio-signature", signature).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, twiml) = get("CallSid=CA1&From=%2B15550100", GET_SIGNATURE).await;
    assert_eq!(status, 200);
    assert!(twiml.contains("<Parameter name=\"from\" value=\"+15550100\"/>"), "{twiml}");
    let (status, _) = get("CallSid=CA1&From=%2B15550199", GET_SIGNATURE).await;
    assert_eq!(status, 403, "the query is signed");
}
