//! How calls end.

use std::time::Duration;

use antiphon_core::call::Pacing;

use super::ms;
use super::stage::Stage;

const GOODBYES: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn whoever_is_cut_off_because_the_server_stops_hears_a_goodbye() {
    for (speaking, pacing) in [
        (false, Pacing::Server { lead: ms(200) }),
        (true, Pacing::Server { lead: ms(200) }),
        (true, Pacing::Client),
    ] {
        let long = "A long reply that will not be heard to its end. ".repeat(8);
        let mut call = Stage::default().pacing(pacing).answer(&long).call();
        if speaking {
            call.says("talk", ms(800)).await;
            call.silence(ms(1_000)).await;
        } else {
            call.silence(ms(500)).await;
        }
        let took = call.server_stops(GOODBYES).await;
        assert_eq!(call.replies().last().map(String::as_str), Some("Bye."), "{speaking} {pacing:?}");
        assert!(call.hung_up() && took < GOODBYES, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_not_waited_for_beyond_its_time() {
    let goodbye =
        |text: &'static str| Stage::default().configured(|config| config.sayings.goodbye = text.to_owned());
    let mut call = goodbye("A goodbye that is much longer than the time that is left to the server.").call();
    call.silence(ms(500)).await;
    let took = call.server_stops(ms(1_500)).await;
    assert!(call.hung_up() && took >= ms(1_500) && took < ms(1_600), "{took:?}");
    for (text, within) in [("", GOODBYES), ("Bye.", Duration::ZERO)] {
        let mut call = goodbye(text).call();
        call.silence(ms(500)).await;
        let took = call.server_stops(within).await;
        assert!(call.hung_up() && took < ms(100) && call.replies().is_empty(), "{took:?}");
    }
}
