//! The specification that every transport must pass. Each transport's tests run it. The connections are pipes in
//! memory and the clock is tokio's, so that a test of a minute of silence takes no time.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use antiphon_core::call::{Inbound, Outbound, Pacing, Transport};
use antiphon_core::{
    CallControl, ConversationItem, Error, Event, HangUpReason, ItemContent, ItemId, ItemStatus, ReplyId,
    Role, TurnId,
};
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

/// Time within which everything must happen that happens immediately.
const SOON: Duration = Duration::from_millis(100);
/// Longer than any time that the specification waits for.
const LONG: Duration = Duration::from_secs(200);
/// Capacity of the pipe between the two ends in bytes. It holds no more than one piece of audio.
const PIPE: usize = 1 << 10;
/// Length of a piece of the agent's audio.
const PIECE: Duration = Duration::from_millis(100);
/// A transport must let a reply of this many pieces wait for its client. The pipe and the socket hold far fewer.
const WAITING: usize = 15;
/// No transport may let this many pieces wait: they hold 70 s of audio.
const TOO_MANY: usize = 700;

/// The client of a transport over a WebSocket, as the specification plays it.
pub(crate) struct Peer {
    /// Size of the largest message that the transport accepts, in bytes.
    pub(crate) limit: usize,
    /// The messages that it sends first.
    pub(crate) opening: Vec<Message>,
    /// A message with some speech of the person.
    pub(crate) speech: Message,
    /// Messages that no client should send. The transport ignores them or answers with an error.
    pub(crate) garbage: Vec<Message>,
    /// Whether a message holds audio of the agent.
    pub(crate) is_audio: fn(&Message) -> bool,
    /// Whether a message tells the client to drop what it has not played; `None` where the client finds out itself.
    pub(crate) is_clear: Option<fn(&Message) -> bool>,
    /// Makes the transport, as its handler does once the connection is upgraded. `None` when the call does not begin.
    pub(crate) open: fn(WebSocket) -> Opening,
}

/// The future that makes a transport.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Option<Box<dyn Transport>>> + Send>>;

type Client = WebSocketStream<DuplexStream>;

/// Runs the whole specification on a transport over a WebSocket.
pub(crate) async fn socket(peer: &Peer) {
    audio_comes_and_goes_at_once(peer).await;
    garbage_does_not_end_the_call(peer).await;
    an_oversized_message_ends_the_call(peer).await;
    a_silent_peer_is_pinged_and_one_that_is_gone_is_noticed(peer).await;
    what_waits_for_a_reader_is_bounded(peer).await;
    a_reader_that_stalls_is_dropped(peer).await;
    clear_drops_what_waits(peer).await;
    the_peer_may_leave_at_any_time(peer).await;
    after_hanging_up_nothing_is_sent(peer).await;
}

/// The part of the specification for transports of any kind, while a person speaks: the transport delivers the speech
/// and accepts what is sent.
pub(crate) async fn any(transport: &mut dyn Transport) {
    assert!(!transport.name().is_empty());
    assert!(transport.has_room(), "nothing waits yet");
    // Clearing is allowed even when there is nothing to clear.
    transport.send(Outbound::Clear);
    let course = run(transport, SOON).await;
    assert!(!course.over && course.lost.is_none(), "{course:?}");
    assert!(course.inbound.contains(&Inbound::Audio) && !course.samples.is_empty(), "{course:?}");
    let flushed = timeout(SOON, poll_fn(|cx| transport.poll_flush(cx))).await;
    assert!(matches!(flushed, Ok(Ok(()))), "all is written: {flushed:?}");
}

/// Once a call is over nothing more comes, however often the transport is polled.
pub(crate) async fn over(transport: &mut dyn Transport) {
    for _ in 0..2 {
        let course = run(transport, SOON).await;
        assert!((course.over || course.lost.is_some()) && course.inbound.is_empty(), "{course:?}");
    }
}

/// Once the agent has hung up the call is over.
pub(crate) async fn hung_up(transport: &mut dyn Transport) {
    transport.send(Outbound::Control(CallControl::HangUp(HangUpReason::Agent)));
    over(transport).await;
}

async fn audio_comes_and_goes_at_once(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    send(&mut client, &peer.speech).await;
    any(transport.as_mut()).await;
    begin_reply(transport.as_mut());
    say(transport.as_mut(), 1);
    let (course, messages) = tokio::join!(run(transport.as_mut(), SOON), read(&mut client, SOON));
    assert!(!course.over && course.lost.is_none(), "{course:?}");
    assert_eq!(audio(peer, &messages), 1, "{messages:?}");
}

async fn garbage_does_not_end_the_call(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    for message in &peer.garbage {
        send(&mut client, message).await;
        let (course, _) = tokio::join!(run(transport.as_mut(), SOON), read(&mut client, SOON));
        assert!(!course.over && course.lost.is_none(), "{message:?}: {course:?}");
    }
    send(&mut client, &peer.speech).await;
    any(transport.as_mut()).await;
}

async fn an_oversized_message_ends_the_call(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    let oversized = Message::text("x".repeat(peer.limit + 1));
    let (course, _) = tokio::join!(run(transport.as_mut(), LONG), timeout(SOON, client.send(oversized)));
    assert!(course.lost.is_some() && course.inbound.is_empty(), "it did not hang up: {course:?}");
    over(transport.as_mut()).await;
}

async fn a_silent_peer_is_pinged_and_one_that_is_gone_is_noticed(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    // Reading from this end of the pipe also answers pings.
    let (course, messages) = tokio::join!(run(transport.as_mut(), LONG), read(&mut client, LONG));
    assert!(!course.over && course.lost.is_none(), "{course:?}");
    let pings = messages.iter().filter(|message| message.is_ping()).count();
    assert!(pings >= 6, "{pings} pings in {LONG:?}: a proxy drops what is silent for 30 s");

    let began = Instant::now();
    let course = run(transport.as_mut(), LONG).await;
    let took = began.elapsed();
    assert!(course.lost.is_some() && took > LONG / 5 && took < LONG / 2, "{took:?}: {course:?}");
}

async fn what_waits_for_a_reader_is_bounded(peer: &Peer) {
    let (mut transport, _client) = call(peer).await;
    begin_reply(transport.as_mut());
    let (mut pieces, mut without_room) = (0, 0);
    let lost = loop {
        say(transport.as_mut(), 1);
        pieces += 1;
        without_room += usize::from(!transport.has_room());
        if let Some(lost) = run(transport.as_mut(), Duration::from_micros(1)).await.lost {
            break lost;
        }
        assert!(pieces < TOO_MANY, "{pieces} pieces wait");
    };
    assert!(pieces > WAITING, "{pieces} pieces are too few for a network that stumbles: {lost}");
    // A session whose transport never reports a full queue produces audio as fast as it can.
    let told = transport.output().pacing != Pacing::Client || without_room > pieces / 2;
    assert!(told, "of {pieces} pieces {without_room} were made without room");
    over(transport.as_mut()).await;
}

async fn a_reader_that_stalls_is_dropped(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    begin_reply(transport.as_mut());
    say(transport.as_mut(), WAITING);
    // The client reads a little before it stalls.
    let (course, _) = tokio::join!(run(transport.as_mut(), SOON), timeout(SOON, client.next()));
    assert!(course.lost.is_none(), "{course:?}");
    let began = Instant::now();
    let course = run(transport.as_mut(), LONG).await;
    let took = began.elapsed();
    assert!(course.lost.is_some() && took < LONG / 4, "{took:?}: {course:?}");
}

async fn clear_drops_what_waits(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    begin_reply(transport.as_mut());
    say(transport.as_mut(), WAITING);
    let course = run(transport.as_mut(), SOON).await;
    assert!(course.lost.is_none(), "{course:?}");
    transport.send(Outbound::Clear);
    let (course, messages) = tokio::join!(run(transport.as_mut(), SOON), read(&mut client, SOON));
    assert!(!course.over && course.lost.is_none(), "{course:?}");
    let heard = audio(peer, &messages);
    assert!(heard < WAITING / 2, "{heard} of {WAITING} pieces came nevertheless");
    if let Some(is_clear) = peer.is_clear {
        let clear = messages.iter().position(is_clear).expect("a message that clears");
        assert_eq!(audio(peer, &messages[clear..]), 0, "none of it comes after the message that clears it");
    }
}

async fn the_peer_may_leave_at_any_time(peer: &Peer) {
    // The peer leaves before the call begins.
    let (ws, client) = connect(peer).await;
    drop(client);
    if let Some(mut transport) = timeout(LONG, (peer.open)(ws)).await.expect("in time") {
        over(transport.as_mut()).await;
    }

    // The peer leaves in the middle of a reply: with a close message, without one, and while this end hangs up.
    for (says_so, hangs_up) in [(true, false), (false, false), (true, true)] {
        let (mut transport, mut client) = call(peer).await;
        begin_reply(transport.as_mut());
        say(transport.as_mut(), WAITING);
        if says_so {
            client.close(None).await.expect("sent");
        }
        if hangs_up {
            transport.send(Outbound::Control(CallControl::HangUp(HangUpReason::Agent)));
        }
        drop(client);
        let course = run(transport.as_mut(), SOON).await;
        assert!(course.over || course.lost.is_some(), "{says_so} {hangs_up}: {course:?}");
        if !hangs_up {
            assert_eq!(
                course.over, says_so,
                "a client that hangs up says so, all others are lost: {course:?}"
            );
        }
        say(transport.as_mut(), 1);
        over(transport.as_mut()).await;
    }
}

async fn after_hanging_up_nothing_is_sent(peer: &Peer) {
    let (mut transport, mut client) = call(peer).await;
    begin_reply(transport.as_mut());
    say(transport.as_mut(), 1);
    transport.send(Outbound::Control(CallControl::HangUp(HangUpReason::Agent)));
    say(transport.as_mut(), 1);
    transport.send(Outbound::Control(CallControl::HangUp(HangUpReason::Agent)));
    let (course, messages) = tokio::join!(run(transport.as_mut(), LONG), read(&mut client, LONG));
    assert!(course.over || course.lost.is_some(), "{course:?}");
    assert_eq!(audio(peer, &messages), 1, "what was said before is heard: {messages:?}");
    let ends = messages.iter().filter(|message| message.is_close()).count();
    assert!(ends == 1 && messages.last().is_some_and(Message::is_close), "{messages:?}");
    over(transport.as_mut()).await;
}

/// The result of polling a transport for a while, as a session does.
#[derive(Debug, Default)]
struct Course {
    inbound: Vec<Inbound>,
    samples: Vec<i16>,
    /// Whether the other side has gone.
    over: bool,
    /// The error when something could not be written.
    lost: Option<Error>,
}

async fn run(transport: &mut dyn Transport, lasting: Duration) -> Course {
    let mut course = Course::default();
    let polled = poll_fn(|cx| {
        loop {
            if let Poll::Ready(Err(error)) = transport.poll_flush(cx) {
                course.lost = Some(error);
                return Poll::Ready(());
            }
            match transport.poll_recv(cx, &mut course.samples) {
                Poll::Ready(Some(inbound)) => course.inbound.push(inbound),
                Poll::Ready(None) => {
                    course.over = true;
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    // It makes no difference whether the call ended or the time ran out.
    let _ = timeout(lasting, polled).await;
    course
}

/// Begins a call: returns the transport and the other end of its connection.
async fn call(peer: &Peer) -> (Box<dyn Transport>, Client) {
    let (ws, mut client) = connect(peer).await;
    let opening = async {
        for message in &peer.opening {
            send(&mut client, message).await;
        }
    };
    let (transport, ()) = tokio::join!((peer.open)(ws), opening);
    (transport.expect("the call begins"), client)
}

/// The two ends of a WebSocket over a pipe. The near end is the one that a handler gets, with the size limit that
/// it sets.
async fn connect(peer: &Peer) -> (WebSocket, Client) {
    let (near, far) = tokio::io::duplex(PIPE);
    let (sender, mut upgraded) = mpsc::channel(1);
    let limit = peer.limit;
    let upgrade = move |upgrade: WebSocketUpgrade| {
        let upgrade = upgrade.max_message_size(limit).max_frame_size(limit);
        std::future::ready(upgrade.on_upgrade(async move |socket| drop(sender.send(socket).await)))
    };
    let router: Router = Router::new().route("/", get(upgrade));
    let answer = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(near), answer).with_upgrades());
    let (client, _) = tokio_tungstenite::client_async("ws://test/", far).await.expect("connects");
    (upgraded.recv().await.expect("upgraded"), client)
}

async fn send(client: &mut Client, message: &Message) {
    client.send(message.clone()).await.expect("sent");
}

/// The messages that the client receives during this time.
async fn read(client: &mut Client, lasting: Duration) -> Vec<Message> {
    let until = Instant::now() + lasting;
    let mut messages = Vec::new();
    while let Ok(Some(Ok(message))) = timeout_at(until, client.next()).await {
        messages.push(message);
    }
    messages
}

/// How many of the messages hold audio.
fn audio(peer: &Peer, messages: &[Message]) -> usize {
    messages.iter().filter(|message| (peer.is_audio)(message)).count()
}

/// Begins a reply, as every session does before its audio.
fn begin_reply(transport: &mut dyn Transport) {
    let (reply, item) = reply();
    transport.send(Outbound::Event(Event::ReplyStarted {
        reply: reply.clone(),
        turn: TurnId(1),
        spoken: true,
        out_of_band: false,
        metadata: BTreeMap::new(),
    }));
    let content = ItemContent::Message { role: Role::Assistant, parts: Vec::new() };
    let item = ConversationItem { id: item, content, status: ItemStatus::InProgress };
    transport.send(Outbound::Event(Event::OutputStarted { reply, index: 0, item }));
}

/// Sends this many pieces of the reply.
fn say(transport: &mut dyn Transport, pieces: usize) {
    let samples = vec![1_000; transport.output().rate.samples_in(PIECE)];
    for _ in 0..pieces {
        let (reply, item) = reply();
        transport.send(Outbound::Audio { turn: TurnId(1), reply, item, samples: samples.clone() });
    }
}

fn reply() -> (ReplyId, ItemId) {
    (ReplyId::new("reply"), ItemId::new("item"))
}
