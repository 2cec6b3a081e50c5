//! Strangers want to be let in: by a secret that is empty, or from the page of another site in somebody's browser.

use crate::Bench;
use crate::client::{ANSWERED, Refused, connect};
use crate::phone::{PUBLIC_HOST, SIGNATURE, sign};
use crate::server::{EMPTY_VARIABLE, Server};
use crate::simulated;

/// Secrets, and the configuration with each of them; `$` stands for the value.
const SECRETS: [(&str, &str); 3] = [
    (TWILIO, "[telephony]\npublic_url = \"https://voice.example.com\"\ntwilio_auth_token = \"$\"\n"),
    ("telnyx_stream_token", "[telephony]\ntelnyx_stream_token = \"$\"\n"),
    ("api_keys", "[server]\napi_keys = [\"$\"]\n"),
];
const TWILIO: &str = "twilio_auth_token";
/// The webhook, and the form that Twilio sends it.
const WEBHOOK: &str = "/telephony/twilio";
const FORM: &str = "CallSid=CA1&From=%2B15550100";
/// The same as Twilio signs it: the fields in order of their names, without anything between.
const SIGNED_FORM: &str = "CallSidCA1From+15550100";
/// What a page of another site would like to read.
const READ: [&str; 3] = ["/api/calls", "/api/cache/entries", "/metrics"];
/// The site whose name was made to mean this machine.
const FOREIGN: &str = "evil.example";

/// Starts servers with a secret that is set by a variable without a value.
pub(super) async fn empty_secrets(bench: &Bench) -> anyhow::Result<String> {
    let mut outcomes = Vec::new();
    for (secret, configured) in SECRETS {
        let configured = configured.replace('$', &format!("${{{EMPTY_VARIABLE}}}"));
        let settings = format!("{}{configured}", simulated::settings());
        let outcome = match Server::start_apart(&bench.program, &settings) {
            Err(_) => "the server does not start".to_owned(),
            Ok(server) if secret == TWILIO => signed_with_nothing(&server).await?,
            Ok(_) => "the server starts".to_owned(),
        };
        outcomes.push(format!("{secret}: {outcome}"));
    }
    Ok(outcomes.join("; "))
}

/// Posts Twilio's form to the webhook, signed with an empty key.
async fn signed_with_nothing(server: &Server) -> anyhow::Result<String> {
    let signature = sign("", &format!("https://{PUBLIC_HOST}{WEBHOOK}{SIGNED_FORM}"));
    let request = reqwest::Client::new().post(server.url(WEBHOOK)).timeout(ANSWERED);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(FORM);
    let answer = request.header(SIGNATURE, signature).send().await?;
    Ok(said(answer.status().as_u16()))
}

/// Reads with the name of another site, as that site's page does in the browser of somebody on this machine.
pub(super) async fn foreign_host(bench: &Bench) -> anyhow::Result<String> {
    let server = Server::start_apart(&bench.program, &simulated::settings())?;
    let mut outcomes = Vec::new();
    for path in READ {
        let request = reqwest::Client::new().get(server.url(path)).timeout(ANSWERED);
        let answer = request.header("host", FOREIGN).send().await?;
        outcomes.push(format!("{path} {}", said(answer.status().as_u16())));
    }
    Ok(outcomes.join(", "))
}

/// Opens the talk page's WebSocket from another site, and claims that a proxy forwarded it.
pub(super) async fn forwarded_host(bench: &Bench) -> anyhow::Result<String> {
    let server = Server::start_apart(&bench.program, &simulated::settings())?;
    let origin = format!("https://{FOREIGN}");
    let headers =
        [("origin", origin.as_str()), ("x-forwarded-host", FOREIGN), ("x-forwarded-proto", "https")];
    match connect(&server, "/talk/ws", &headers).await {
        Ok(_) => Ok("was let in (101)".to_owned()),
        Err(error) if error.is::<Refused>() => Ok(error.to_string()),
        Err(error) => Err(error),
    }
}

/// A status in words.
fn said(status: u16) -> String {
    if (200..300).contains(&status) { format!("was served ({status})") } else { Refused(status).to_string() }
}
