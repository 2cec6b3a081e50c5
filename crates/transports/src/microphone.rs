//! The local microphone and loudspeaker, through programs that every desktop has: those of PulseAudio (which PipeWire
//! provides as well), ALSA or SoX. So there is no library to link, and nothing to install where sound works already.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use antiphon_audio::Ingest;
use antiphon_core::call::{Inbound, Outbound, OutputAudio, Pacing, Transport};
use antiphon_core::{CallControl, Error, Event, Result, SampleRate};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// The transport's name, for logs and metrics.
pub const NAME: &str = "microphone";

/// Audio sent ahead of real time, so that playback does not stop when the player is woken late.
const LEAD: Duration = Duration::from_millis(200);
/// Rate of what is played.
const RATE: SampleRate = SampleRate::HZ_24000;
/// Most bytes that may wait for the player: two seconds of audio, ten times the lead. A player that falls this far
/// behind is broken.
const MAX_QUEUED: usize = 96_000;

/// The pairs that are tried, in this order: PulseAudio, ALSA, SoX.
const PROGRAMS: [Programs; 3] = [
    Programs {
        record: &["parec", "--format=s16le", "--rate=16000", "--channels=1", "--latency-msec=20"],
        play: &["pacat", "--playback", "--format=s16le", "--rate=24000", "--channels=1", "--latency-msec=60"],
        test: &["pactl", "info"],
    },
    Programs {
        record: &["arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1"],
        play: &["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-r", "24000", "-c", "1", "--buffer-time=200000"],
        test: &["arecord", "--version"],
    },
    Programs {
        record: &["rec", "-q", "-t", "raw", "-r", "16000", "-e", "signed", "-b", "16", "-c", "1", "-"],
        play: &["play", "-q", "-t", "raw", "-r", "24000", "-e", "signed", "-b", "16", "-c", "1", "-"],
        test: &["sox", "--version"],
    },
];

/// A pair of programs: one writes samples at 16 kHz to its standard output, the other plays samples at 24 kHz from
/// its standard input. Both use signed 16-bit mono.
struct Programs {
    record: &'static [&'static str],
    play: &'static [&'static str],
    /// A command that succeeds only where the two programs work.
    test: &'static [&'static str],
}

/// A call with the person in front of this machine.
pub struct Microphone {
    recorder: Child,
    samples: ChildStdout,
    ingest: Ingest,
    player: Player,
    events: mpsc::UnboundedSender<Event>,
    over: bool,
}

/// Plays samples, and drops those not yet heard as soon as it is told to.
struct Player {
    command: &'static [&'static str],
    /// The player, which is started with the first sample.
    running: Option<(Child, ChildStdin)>,
    queue: VecDeque<u8>,
}

impl Microphone {
    /// Opens the microphone and the loudspeaker. The receiver gets the events of the call.
    pub fn open() -> Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let Some(programs) = PROGRAMS.into_iter().find(|programs| works(programs.test)) else {
            return Err(Error::not_found(
                "no program to record with: install alsa-utils (arecord, aplay), or pulseaudio-utils, or sox; or \
                 converse with a recording: `antiphon talk --in question.wav --out reply.wav`",
            ));
        };
        let mut recorder = Command::new(programs.record[0])
            .args(&programs.record[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Error::unavailable(format!("cannot start {}: {e}", programs.record[0])))?;
        let samples = recorder.stdout.take().ok_or_else(|| Error::internal("the recorder has no output"))?;
        let (events, told) = mpsc::unbounded_channel();
        let player = Player { command: programs.play, running: None, queue: VecDeque::new() };
        let ingest = Ingest::new(SampleRate::HZ_16000);
        Ok((Self { recorder, samples, ingest, player, events, over: false }, told))
    }
}

fn works(test: &[&str]) -> bool {
    let run = std::process::Command::new(test[0]).args(&test[1..]).output();
    run.is_ok_and(|output| output.status.success())
}

impl Transport for Microphone {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self) -> OutputAudio {
        OutputAudio { rate: RATE, pacing: Pacing::Server { lead: LEAD } }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, audio: &mut Vec<i16>) -> Poll<Option<Inbound>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut bytes = [0; 3_200];
        let mut buffer = ReadBuf::new(&mut bytes);
        match ready!(Pin::new(&mut self.samples).poll_read(cx, &mut buffer)) {
            Ok(()) if !buffer.filled().is_empty() => {
                self.ingest.s16le(buffer.filled(), audio);
                Poll::Ready(Some(Inbound::Audio))
            }
            // The recorder has ended. It has printed the reason itself.
            Ok(()) | Err(_) => {
                drop(self.recorder.start_kill());
                Poll::Ready(None)
            }
        }
    }

    fn send(&mut self, outbound: Outbound) {
        match outbound {
            Outbound::Audio { samples, .. } => {
                self.player.queue.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
            }
            Outbound::Clear => self.player.forget(),
            // Nobody may be receiving the events any more, which is no reason to end the call.
            Outbound::Event(event) => drop(self.events.send(event)),
            Outbound::Control(CallControl::HangUp(_)) => self.over = true,
            Outbound::Control(_) => {}
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let played = ready!(self.player.poll_play(cx));
        let name = self.player.command[0];
        Poll::Ready(played.map_err(|e| Error::unavailable(format!("{name} does not play: {e}"))))
    }
}

impl Player {
    /// Drops everything that was not heard yet. The program would go on to play what it has already read, so it is
    /// ended, and started again with the next sample.
    fn forget(&mut self) {
        self.queue.clear();
        self.running = None;
    }

    fn poll_play(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            if self.queue.len() > MAX_QUEUED {
                return Poll::Ready(Err(io::Error::other("it accepts no more audio")));
            }
            let (_, input) = match &mut self.running {
                Some(running) => running,
                none => none.insert(start(self.command)?),
            };
            match Pin::new(input).poll_write(cx, self.queue.as_slices().0) {
                Poll::Ready(written) => drop(self.queue.drain(..written?)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn start(command: &[&str]) -> io::Result<(Child, ChildStdin)> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take().ok_or_else(|| io::Error::other("its standard input cannot be opened"))?;
    Ok((child, input))
}
