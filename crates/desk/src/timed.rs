//! Measures how long a transport takes to decode incoming audio and to encode outgoing audio, and slows down clients that send
//! audio much faster than it is spoken.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use antiphon_core::call::{Inbound, Outbound, OutputAudio, Transport};
use antiphon_core::{CallControl, Result};
use antiphon_telemetry::Pipeline;

use crate::pace::{Pace, Recordings};

/// Wraps a transport and measures its work.
pub(crate) struct Timed {
    transport: Box<dyn Transport>,
    pipeline: Arc<Pipeline>,
    pace: Pace,
}

impl Timed {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        pipeline: Arc<Pipeline>,
        recordings: Arc<Recordings>,
    ) -> Self {
        Self { transport, pipeline, pace: Pace::new(recordings) }
    }
}

impl Transport for Timed {
    fn name(&self) -> &'static str {
        self.transport.name()
    }

    fn output(&self) -> OutputAudio {
        self.transport.output()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        ready!(self.pace.poll_ready(cx));
        let before = audio.len();
        #[expect(clippy::disallowed_methods, reason = "measures a call's pipeline in real time")]
        let began = Instant::now();
        let received = self.transport.poll_recv(cx, audio);
        if audio.len() > before {
            self.pace.took(audio.len() - before);
        }
        match received {
            Poll::Ready(Some(_)) => self.pipeline.received(began.elapsed()),
            // Nothing was heard, but what was heard before is more urgent now.
            Poll::Pending => return self.pace.poll_over(cx).map(|()| Some(Inbound::Audio)),
            Poll::Ready(None) => {}
        }
        received
    }

    fn is_ahead(&self) -> bool {
        self.pace.is_ahead()
    }

    fn send(&mut self, outbound: Outbound) {
        #[expect(clippy::disallowed_methods, reason = "measures a call's pipeline in real time")]
        let began = Instant::now();
        self.transport.send(outbound);
        self.pipeline.sent(began.elapsed());
    }

    fn has_room(&self) -> bool {
        self.transport.has_room()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.transport.poll_flush(cx)
    }

    fn can(&self, control: &CallControl) -> bool {
        self.transport.can(control)
    }
}

#[cfg(test)]
mod tests {
    use antiphon_core::SampleRate;
    use antiphon_core::call::Pacing;
    use antiphon_telemetry::Pipeline;

    use super::*;

    /// A transport that delivers one piece of speech.
    struct Once(bool);

    impl Transport for Once {
        fn name(&self) -> &'static str {
            "once"
        }

        fn output(&self) -> OutputAudio {
            OutputAudio { rate: SampleRate::HZ_8000, pacing: Pacing::Client }
        }

        fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut Vec<i16>) -> Poll<Option<Inbound>> {
            if std::mem::replace(&mut self.0, true) {
                Poll::Pending
            } else {
                Poll::Ready(Some(Inbound::Audio))
            }
        }

        fn send(&mut self, _: Outbound) {}

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_and_goes_out_is_timed() {
        let pipeline = Arc::new(Pipeline::default());
        let mut timed = Timed::new(Box::new(Once(false)), pipeline.clone(), Arc::default());
        let mut audio = Vec::new();
        let inbound = std::future::poll_fn(|cx| timed.poll_recv(cx, &mut audio)).await;
        assert_eq!(inbound, Some(Inbound::Audio));
        timed.send(Outbound::Clear);
        timed.send(Outbound::Clear);
        let components = pipeline.components();
        let transport = components.iter().find(|part| part.name() == "transport").expect("there");
        let counts: Vec<_> =
            transport.stages().iter().map(|stage| (stage.name(), stage.spans().snapshot().count())).collect();
        assert_eq!(counts, [("receive", 1), ("send", 2)]);
    }
}
