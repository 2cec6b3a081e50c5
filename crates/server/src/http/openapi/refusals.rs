//! The errors that every operation may answer with, in the description of the API: what they have in common stands here once.

use std::collections::HashMap;

use antiphon_desk::Access;
use serde_json::{Map, Value, json};

use crate::http::is_openais;
use crate::settings::Settings;

/// Where in the document a status, and what it is refused with, are described.
struct Refusal {
    status: &'static str,
    description: String,
    waits: bool,
}

/// Adds the errors to every operation that does not describe them itself. `access` says who may use a path.
pub(super) fn describe(api: &mut Value, access: &HashMap<&str, Access>, settings: &Settings) {
    api["components"]["schemas"]["OpenAiError"] = openai_error();
    api["components"]["schemas"]["Problem"] = problem();
    let Some(paths) = api["paths"].as_object_mut() else { return };
    for (path, operations) in paths {
        let has_key = access.get(path.as_str()) == Some(&Access::Key);
        let Some(operations) = operations.as_object_mut().filter(|_| has_key) else { continue };
        for (method, operation) in operations {
            let Some(responses) = operation["responses"].as_object_mut() else { continue };
            for refusal in refusals(path, method != "get", settings) {
                let described = refusal.response(is_openais(path));
                responses.entry(refusal.status).or_insert(described);
            }
        }
    }
}

/// What an operation may be refused with.
fn refusals(path: &str, has_body: bool, settings: &Settings) -> Vec<Refusal> {
    let refusal =
        |status, description: &str| Refusal { status, description: description.to_owned(), waits: false };
    let mut refusals = vec![
        refusal("400", "The request is invalid: the message says what, where and what to do"),
        refusal("401", "No valid key; without configured keys none is needed"),
        refusal("403", "The page or the host that asks is not allowed"),
        refusal("404", "There is no such thing, or the part of the server that has it is off"),
        refusal("500", "A bug in the server"),
    ];
    if has_body {
        let (json, upload) = (settings.max_json_bytes >> 10, settings.max_upload_bytes >> 20);
        let large = format!("The body is larger than allowed: {json} KiB of JSON, {upload} MiB of audio");
        refusals.extend([
            refusal("408", "The body came too slowly"),
            refusal("413", &large),
            refusal("415", "The body is of another media type than this operation takes"),
        ]);
    }
    if is_openais(path) {
        let full = format!(
            "More requests than the {} that are answered at a time, or more work than the engines can do in time",
            settings.max_requests
        );
        refusals.push(Refusal { status: "429", description: full, waits: true });
        let away = "The server is stopping, has too many connections, or an engine is away".to_owned();
        refusals.push(Refusal { status: "503", description: away, waits: true });
    }
    if is_openais(path) && has_body {
        refusals.extend([
            refusal("502", "An engine's server refused the request or answered nonsense"),
            refusal("504", "An engine was silent for too long"),
        ]);
    }
    refusals
}

impl Refusal {
    fn response(&self, is_openais: bool) -> Value {
        let (media_type, schema) = if is_openais {
            ("application/json", "OpenAiError")
        } else {
            ("application/problem+json", "Problem")
        };
        let mut content = Map::new();
        content.insert(
            media_type.to_owned(),
            json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } }),
        );
        let mut response = json!({ "description": self.description, "content": content });
        if self.waits {
            let seconds = json!({ "type": "integer", "minimum": 0 });
            response["headers"]["Retry-After"] =
                json!({ "description": "Seconds after which to ask again", "schema": seconds });
        }
        response
    }
}

fn openai_error() -> Value {
    let text = |what: &str| json!({ "type": ["string", "null"], "description": what });
    json!({
        "type": "object",
        "description": "An error as OpenAI writes it.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": { "type": "string", "description": "What is wrong, where, and what to do." },
                "type": { "type": "string", "enum": ["invalid_request_error", "rate_limit_error", "server_error"] },
                "param": text("The parameter that is wrong, if it is about one."),
                "code": text("A name of the error for programs."),
            },
        }},
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error as RFC 9457 writes it.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What is wrong, where, and what to do." },
            "code": { "type": ["string", "null"], "description": "A name of the error for programs." },
        },
    })
}
