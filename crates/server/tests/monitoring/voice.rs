//! A voice as a server of its own, which keeps what it was asked to say.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::Value;

use crate::program::Place;

/// What every text sounds like: 100 ms of silence, as the format `pcm` has it (24 kHz, 16 bits).
const AUDIO: [u8; 4_800] = [0; 4_800];

/// A server with OpenAI's speech.
#[derive(Default)]
pub(crate) struct Voice(Mutex<Vec<String>>);

impl Voice {
    /// Starts the server, and returns its base URL as well.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let voice = Arc::<Self>::default();
        let app = Router::new().route("/v1/audio/speech", post(speak)).with_state(voice.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (voice, url)
    }

    /// The texts that it was asked to say.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn speak(State(voice): State<Arc<Voice>>, body: String) -> &'static [u8] {
    let request: Value = serde_json::from_str(&body).expect("JSON");
    let text = request["input"].as_str().expect("a text").to_owned();
    voice.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    &AUDIO
}

/// The place, configured with the voice at this URL instead of its own.
pub(crate) fn with_voice(place: Place, url: &str) -> Place {
    let voice = format!("[tts]\nengines = [{{ engine = \"openai\", base_url = \"{url}\" }}]\n");
    place.replace("[tts]\n", &voice);
    place
}
