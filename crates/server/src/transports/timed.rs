//! How long a transport works for a call: decoding what comes in, encoding what goes out.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use antiphon_core::Result;
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Transport};
use antiphon_telemetry::Pipeline;

/// A transport whose work is timed.
pub(super) struct Timed<T> {
    transport: T,
    pipeline: Arc<Pipeline>,
}

impl<T> Timed<T> {
    pub(super) fn new(transport: T, pipeline: Arc<Pipeline>) -> Self {
        Self { transport, pipeline }
    }
}

impl<T: Transport> Transport for Timed<T> {
    fn name(&self) -> &'static str {
        self.transport.name()
    }

    fn output(&self) -> OutputAudio {
        self.transport.output()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        #[expect(clippy::disallowed_methods, reason = "measures a call's pipeline in real time")]
        let began = Instant::now();
        let received = self.transport.poll_recv(cx, audio);
        if matches!(received, Poll::Ready(Some(_))) {
            self.pipeline.received(began.elapsed());
        }
        received
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::file::FileTransport;

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_and_goes_out_is_timed() {
        let pipeline = Arc::new(Pipeline::default());
        let (file, _said) = FileTransport::new(vec![1; 640], false);
        let mut timed = Timed::new(file, pipeline.clone());
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
