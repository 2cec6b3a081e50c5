//! A real voice through the cache, and a real recogniser that listens.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/clips.rs"]
mod clips;
#[path = "support/listening.rs"]
mod listening;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::{FileFormat, encode_file};
use antiphon_cache::{Cache, CacheOptions, CachedTts, Kind, Selection};
use antiphon_flow::{CpuPool, PoolBounds};
use tokio::time::{sleep, timeout};

use clips::Clips;
use listening::{CONTROLS, Models, say};

/// No wait in these tests takes so long.
const PATIENCE: Duration = Duration::from_mins(2);

const SENTENCES: [&str; 24] = [
    "Sure,",
    "One moment, please.",
    "Your order number is 48213977.",
    "That will be $12.50, including 20% off.",
    "The train leaves at 3:45 pm on March 3rd.",
    "I'm sorry to hear that! Shall I ask a colleague to call you back?",
    "We are open from nine to five, Monday to Friday, and until noon on Saturdays.",
    "There are 1,250 seats, of which 17 are left.",
    "You can reach us at extension 402, or write to help@example.com.",
    "Thank you for calling, how can I help you today?",
    "Let me look that up for you.",
    "Could you tell me your date of birth?",
    "Your appointment is on Tuesday at half past ten.",
    "I have sent the invoice to your email address.",
    "The parcel will be with you by tomorrow evening.",
    "Would you like a table inside or on the terrace?",
    "Is there anything else I can do for you?",
    "Please hold the line while I transfer you to the workshop.",
    "Your card was charged twice, so I will refund the second payment.",
    "The nearest branch is opposite the railway station.",
    "You can return it within thirty days, as long as you keep the receipt.",
    "We do not deliver on public holidays.",
    "The password must have at least twelve characters.",
    "Goodbye, and have a nice day.",
];
/// At least this many sentences are recognised so reliably that they show what the cache does to the words.
/// Which ones depends a little on the processor.
const MIN_STABLE: usize = SENTENCES.len() / 2;

async fn kept(cache: &Cache, entries: u64) {
    let all = async {
        while cache.counts().stored < entries {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("kept in time");
}

#[tokio::test]
async fn what_was_said_is_said_again_word_for_word_from_a_tenth_of_the_space() {
    let models = Models::open();
    let options = CacheOptions { kind: Kind::Speech, max_bytes: 1 << 24, ttl: Duration::from_hours(1) };
    let cache = Arc::new(Cache::new(options, Vec::new(), Arc::new(|| 0)));
    let bounds = PoolBounds { min: 1, max: 1 };
    let cpu_pool = Arc::new(CpuPool::new(bounds).expect("threads"));
    let voice = models.voice.clone();
    let cached = CachedTts::new(voice, "piper joe".to_owned(), cache.clone(), Arc::new(Clips), cpu_pool);

    let (mut stable, mut otherwise) = (0, Vec::new());
    for (n, text) in SENTENCES.into_iter().enumerate() {
        let fresh = say(&cached, text).await;
        kept(&cache, n as u64 + 1).await;
        let again = say(&cached, text).await;
        assert_eq!(cache.counts().hits, n as u64 + 1, "{text}");
        assert_eq!((again.rate, again.samples.len()), (fresh.rate, fresh.samples.len()), "{text}");

        let entries = cache.list(&Selection::default(), SENTENCES.len());
        let entry = entries.iter().find(|entry| *entry.label == *text).expect("kept");
        let (written, wav) =
            (entry.to_bytes().len(), encode_file(FileFormat::Wav, &fresh).expect("written").len());
        assert!(written * 10 <= wav, "{text}: {written} of {wav} bytes");

        let heard = models.listen(&fresh, &again).await;
        let share = 100.0 * written as f64 / wav as f64;
        let changed = CONTROLS.iter().zip(heard.same).filter(|(_, same)| !same);
        let edge: Vec<_> = changed.map(|(control, _)| control.name).collect();
        println!("{share:5.1} %  {:?}  {:?}  {edge:?}", heard.fresh, heard.kept);
        stable += usize::from(edge.is_empty());
        if edge.is_empty() && !heard.is_kept() {
            otherwise.push(format!("{:?} as {:?}", heard.fresh, heard.kept));
        }
    }
    assert!(otherwise.is_empty(), "from the cache, the recogniser heard {}", otherwise.join(" and "));
    assert!(stable >= MIN_STABLE, "the recogniser heard only {stable} of {} surely", SENTENCES.len());
}
