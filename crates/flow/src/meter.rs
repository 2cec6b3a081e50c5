//! How much is sent to speech engines, counted in the units in which vendors bill it: [`Meters`].
//!
//! Everything that is sent counts, whether or not an answer comes: requests that fail or are cancelled are billed, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use antiphon_core::measure::account::{self, Account, SpeechUnit};
use antiphon_core::measure::{Component, Counter, Gauge};
use antiphon_core::{SampleRate, lock};

/// Audio is sold by the hour.
const HOUR_SAMPLES: f64 = 3_600.0 * SampleRate::HZ_16000.hz() as f64;
/// Text is sold by the million characters.
const MILLION: f64 = 1e6;
/// Calls are charged in millionths of the currency.
const MICROS: f64 = 1e6;

/// Counts how much one engine was sent.
pub(crate) struct Meter {
    /// The stage and the engine: "stt deepgram".
    name: Arc<str>,
    unit: SpeechUnit,
    /// The price of one sample or character, in millionths of the currency.
    price: Option<f64>,
    sent: AtomicU64,
}

impl Meter {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The price of this amount, in millionths of the currency.
    fn micros(&self, amount: u64) -> u64 {
        (self.price.unwrap_or_default() * amount as f64).round() as u64
    }

    fn counter(&self) -> Counter {
        let (value, what) = match self.unit {
            SpeechUnit::Sample => (self.sent() / u64::from(SampleRate::HZ_16000.hz()), "seconds"),
            SpeechUnit::Character => (self.sent(), "characters"),
        };
        Counter::new(format!("{} {what}", self.name), value)
    }

    fn gauges(&self) -> Vec<Gauge> {
        let (stage, engine) = self.name.split_once(' ').unwrap_or(("", &self.name));
        let sent = self.sent();
        let (name, help, value) = match self.unit {
            SpeechUnit::Sample => (
                "antiphon_stt_audio_seconds_total",
                "Audio sent to be transcribed",
                SampleRate::HZ_16000.duration_of(sent as usize).as_secs_f64(),
            ),
            SpeechUnit::Character => {
                ("antiphon_tts_characters_total", "Characters sent to be spoken", sent as f64)
            }
        };
        let of_engine = Gauge { name, help, labels: vec![("engine", engine.to_owned())], value };
        let cost = self.price.map(|price| Gauge {
            name: "antiphon_cost_total",
            help: "What engines of speech were sent, in the currency of the configured prices",
            labels: vec![("stage", stage.to_owned()), ("engine", engine.to_owned())],
            value: price * sent as f64 / MICROS,
        });
        [of_engine].into_iter().chain(cost).collect()
    }
}

/// The meters of all engines of speech.
#[derive(Default)]
pub struct Meters(Mutex<Vec<Arc<Meter>>>);

impl Meters {
    /// A meter for the engine `name`, such as "stt deepgram". An hour of audio, or a million characters, cost `price`.
    pub(crate) fn add(&self, name: &Arc<str>, unit: SpeechUnit, price: Option<f64>) -> Arc<Meter> {
        let sold = match unit {
            SpeechUnit::Sample => HOUR_SAMPLES,
            SpeechUnit::Character => MILLION,
        };
        let price = price.map(|price| price * MICROS / sold);
        let meter = Arc::new(Meter { name: name.clone(), unit, price, sent: AtomicU64::new(0) });
        lock(&self.0).push(meter.clone());
        meter
    }
}

impl Component for Meters {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn counters(&self) -> Vec<Counter> {
        lock(&self.0).iter().map(|meter| meter.counter()).collect()
    }

    fn gauges(&self) -> Vec<Gauge> {
        lock(&self.0).iter().flat_map(|meter| meter.gauges()).collect()
    }
}

/// How much one request has sent, charged to its call.
pub(crate) struct Bill {
    meter: Arc<Meter>,
    account: Option<Arc<Account>>,
    sent: u64,
    /// What was charged so far, in millionths of the currency. Each time the growth of the rounded sum is charged, because a
    /// piece of audio may cost less than a millionth.
    micros: u64,
}

impl Bill {
    /// A bill of the call that this thread works for.
    pub(crate) fn open(meter: &Arc<Meter>) -> Self {
        Self { meter: meter.clone(), account: account::current(), sent: 0, micros: 0 }
    }

    /// This much more was sent.
    pub(crate) fn add(&mut self, amount: usize) {
        let amount = amount as u64;
        self.meter.sent.fetch_add(amount, Ordering::Relaxed);
        let Some(account) = &self.account else { return };
        self.sent += amount;
        let micros = self.meter.micros(self.sent);
        account.bill(self.meter.unit, amount, micros.saturating_sub(self.micros));
        self.micros = micros;
    }
}
