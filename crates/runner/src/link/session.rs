//! One WebSocket, from its opening to its end: a reader, a writer and a watch over both, in one task.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hopline_wire::Timestamp;
use hopline_wire::link::{CLOSE_ALREADY_CONNECTED, CLOSE_UNAUTHORISED, Hello, LinkFrame, Welcome};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::clock::Measurement;
use super::connect::Socket;
use super::{Link, LinkProtocol, LinkState, Refusal};
use crate::agents::AGENTS;
use crate::events::seq_member;
use crate::outbox::{Frame, Window};

/// How long the farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A write that took this long was held up by the other side.
const HELD_UP: Duration = Duration::from_secs(1);

/// How a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The broker closed it.
    #[error("the broker closed it ({0})")]
    Closed(String),
    /// It could not be opened, read or written.
    #[error("{0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("nothing was heard of the broker for {} s", .0.as_secs())]
    Dead(Duration),
    /// The broker said `welcome` after the link had been taken for a legacy one.
    #[error("the broker's welcome came too late")]
    LateWelcome,
    /// The broker knows no subprotocol, and the opening failed for that alone.
    #[error("the broker knows no subprotocol")]
    NoSubprotocol,
    /// The broker refuses the runner.
    #[error("{0}")]
    Refused(Refusal),
    /// The runner stops.
    #[error("the runner stops")]
    Stopped,
}

impl End {
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            _ => None,
        }
    }

    fn closed(frame: Option<CloseFrame>) -> Self {
        let Some(frame) = frame else {
            return Self::Closed("without a reason".into());
        };
        match u16::from(frame.code) {
            CLOSE_UNAUTHORISED => Self::Refused(Refusal::WrongSecret),
            CLOSE_ALREADY_CONNECTED => Self::Refused(Refusal::AlreadyConnected),
            code => Self::Closed(format!("{code} {}", frame.reason).trim_end().to_owned()),
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What is known of the link's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `welcome` may still come.
    Undecided,
    Legacy,
    V1(Window),
}

pub(super) struct Session<'l> {
    link: &'l Link,
    opened: Instant,
    mode: watch::Sender<Mode>,
    /// What is being written; given back if the link ends meanwhile.
    frame: Mutex<Option<Frame>>,
    watched: Mutex<Watched>,
}

/// What shows whether the link lives, and how far the clocks are apart.
struct Watched {
    heard: Instant,
    /// Whether something is being written: then a legacy broker's pause is no sign of death.
    writing: bool,
    hello: Option<Instant>,
    ping: Option<(u64, Instant)>,
    pings: u64,
    measurement: Measurement,
}

impl<'l> Session<'l> {
    pub(super) fn new(link: &'l Link, answered_v1: bool) -> Self {
        let mode = if answered_v1 {
            Mode::Undecided
        } else {
            Mode::Legacy
        };
        let now = Instant::now();
        Self {
            link,
            opened: now,
            mode: watch::Sender::new(mode),
            frame: Mutex::new(None),
            watched: Mutex::new(Watched {
                heard: now,
                writing: false,
                hello: None,
                ping: None,
                pings: 0,
                measurement: Measurement::default(),
            }),
        }
    }

    pub(super) async fn run(self, socket: Socket) -> End {
        let (mut sink, mut stream) = socket.split();
        let end = tokio::select! {
            end = self.read(&mut stream) => end,
            end = self.write(&mut sink) => end,
            end = self.watch() => end,
            () = self.link.stop.cancelled() => End::Stopped,
        };
        if let Some(frame) = self.frame.lock().take() {
            self.link.outbox.unwritten(frame);
        }
        if matches!(end, End::Stopped | End::LateWelcome) {
            // A broker that does not answer is left without a farewell.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell(&mut sink, &mut stream)).await;
        }
        end
    }

    async fn read(&self, stream: &mut SplitStream<Socket>) -> End {
        while let Some(message) = stream.next().await {
            self.watched.lock().heard = Instant::now();
            let read = match message {
                Ok(Message::Text(text)) => self.take_in(&text),
                Ok(Message::Pong(payload)) => {
                    self.pong(&payload);
                    Ok(())
                }
                Ok(Message::Close(frame)) => Err(End::closed(frame)),
                Ok(Message::Binary(_)) => {
                    self.not_understood("a binary frame");
                    Ok(())
                }
                // Pings are answered by the library.
                Ok(Message::Ping(_) | Message::Frame(_)) => Ok(()),
                Err(error) => Err(error.into()),
            };
            if let Err(end) = read {
                return end;
            }
        }
        End::Closed("without a farewell".into())
    }

    /// One frame: the link's own, or a command.
    fn take_in(&self, text: &str) -> Result<(), End> {
        #[derive(Deserialize)]
        struct Head<'t> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'t, str>,
        }
        // A command without a type, or with one that is no text, still has a sender who waits for an answer.
        let head = serde_json::from_str::<Head<'_>>(text);
        if !head.is_ok_and(|head| LinkFrame::is_link_type(&head.kind)) {
            if self.link.dispatcher.receive(text).is_err() {
                self.not_understood("no command");
            }
            return Ok(());
        }
        match serde_json::from_str(text) {
            Ok(LinkFrame::Welcome(welcome)) => return self.welcome(&welcome),
            Ok(LinkFrame::EventsAcked(acked)) => {
                self.link.outbox.acked(&acked.command_id, acked.seq);
            }
            Ok(LinkFrame::Resend(resend)) => {
                tracing::debug!(command = %resend.command_id, seq = resend.seq, "the broker asks for events again");
                self.link.outbox.resend(&resend.command_id, resend.seq);
            }
            Ok(LinkFrame::Hello(_)) => self.not_understood("a hello"),
            Err(_) => self.not_understood("a frame of the link with wrong members"),
        }
        Ok(())
    }

    fn not_understood(&self, what: &str) {
        self.link.metrics.frames_malformed.inc();
        tracing::warn!("the broker sent {what}, which is ignored");
    }

    fn welcome(&self, welcome: &Welcome) -> Result<(), End> {
        match *self.mode.borrow() {
            Mode::Undecided => {}
            Mode::Legacy => return Err(End::LateWelcome),
            Mode::V1(_) => return Ok(()),
        }
        let mut watched = self.watched.lock();
        let offset = &self.link.clock;
        if let Some(hello) = watched.hello {
            watched.measurement.round_trip(hello.elapsed(), offset);
        }
        let now = Timestamp::now();
        watched
            .measurement
            .server_time(welcome.server_time, now, offset);
        drop(watched);
        if let Ok(bytes @ 1..) = usize::try_from(welcome.max_event_bytes) {
            self.link.max_event_bytes.store(bytes, Ordering::Relaxed);
        }
        self.up(Mode::V1(Window::of(welcome)), LinkProtocol::V1);
        Ok(())
    }

    fn up(&self, mode: Mode, protocol: LinkProtocol) {
        tracing::info!(
            runner = %self.link.runner_id,
            broker = self.link.endpoint.shown(),
            ?protocol,
            "linked to the broker"
        );
        self.mode.send_replace(mode);
        self.link.metrics.links.inc();
        self.link.metrics.link_up.set(1);
        self.link.state.send_replace(LinkState::Up(protocol));
    }

    fn pong(&self, payload: &Bytes) {
        let mut watched = self.watched.lock();
        if let Some((number, sent)) = watched.ping
            && payload[..] == number.to_be_bytes()
        {
            watched.ping = None;
            watched
                .measurement
                .round_trip(sent.elapsed(), &self.link.clock);
        }
    }

    async fn write(&self, sink: &mut SplitSink<Socket, Message>) -> End {
        match self.write_on(sink).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn write_on(
        &self,
        sink: &mut SplitSink<Socket, Message>,
    ) -> Result<std::convert::Infallible, End> {
        let resume = self.link.outbox.restart();
        if *self.mode.borrow() == Mode::Undecided {
            let hello = LinkFrame::Hello(Hello {
                runner_id: self.link.runner_id.clone(),
                instance_id: self.link.instance_id.clone(),
                version: self.link.version.clone(),
                agents: AGENTS.map(str::to_owned).to_vec(),
                resume,
            });
            let hello = serde_json::to_string(&hello)
                .map_err(|error| End::Broken(format!("write hello: {error}")))?;
            self.watched.lock().hello = Some(Instant::now());
            self.send(sink, [Message::text(hello)]).await?;
        } else {
            self.up(Mode::Legacy, LinkProtocol::Legacy);
        }
        let mut mode = self.mode.subscribe();
        let decided_at = self.opened + self.link.welcome_timeout;
        let mut ping_at = Instant::now();
        loop {
            if Instant::now() >= ping_at {
                ping_at = Instant::now() + self.link.ping_interval;
                let ping = self.ping();
                self.send(sink, [ping]).await?;
            }
            let now_mode = *mode.borrow_and_update();
            let window = match now_mode {
                Mode::Undecided => None,
                Mode::Legacy => Some(Window::OPEN),
                Mode::V1(window) => Some(window),
            };
            if let Some(frame) = window.and_then(|window| self.link.outbox.take(&window)) {
                self.write_frame(sink, frame, now_mode == Mode::Legacy)
                    .await?;
                continue;
            }
            tokio::select! {
                () = self.link.outbox.ready(), if window.is_some() => {}
                _ = mode.changed() => {}
                () = sleep_until(ping_at) => {}
                () = sleep_until(decided_at), if now_mode == Mode::Undecided => {
                    self.up(Mode::Legacy, LinkProtocol::Legacy);
                }
            }
        }
    }

    async fn send(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<(), Error> {
        let started = Instant::now();
        self.watched.lock().writing = true;
        let mut sent = Ok(());
        for message in messages {
            sent = sent.and(sink.feed(message).await);
        }
        let sent = sent.and(sink.flush().await);
        let mut watched = self.watched.lock();
        watched.writing = false;
        if started.elapsed() >= HELD_UP {
            // The other side took its time, but it took: it lives.
            watched.heard = Instant::now();
        }
        sent
    }

    fn ping(&self) -> Message {
        let mut watched = self.watched.lock();
        watched.pings += 1;
        let number = watched.pings;
        watched.ping = Some((number, Instant::now()));
        Message::Ping(Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    async fn write_frame(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        frame: Frame,
        legacy: bool,
    ) -> Result<(), End> {
        let texts = if legacy {
            legacy_texts(&frame)
        } else {
            array(&frame).map(|text| vec![text])
        };
        *self.frame.lock() = Some(frame);
        self.send(sink, texts?.into_iter().map(Message::Text))
            .await?;
        if let Some(frame) = self.frame.lock().take() {
            let outbox = &self.link.outbox;
            outbox.written(frame, legacy, &self.link.tracer, Timestamp::now());
        }
        Ok(())
    }

    /// Whether the other side is heard of even while it does not read: with `hopline.v1` both sides ping, whatever
    /// else they do. A legacy one may stand still as a whole.
    fn pings_while_paused(&self) -> bool {
        matches!(*self.mode.borrow(), Mode::V1(_))
    }

    /// Waits until the link is dead.
    async fn watch(&self) -> End {
        loop {
            let dead_at = {
                let watched = self.watched.lock();
                if watched.writing && !self.pings_while_paused() {
                    Instant::now() + self.link.dead_after / 2
                } else {
                    watched.heard + self.link.dead_after
                }
            };
            if Instant::now() >= dead_at {
                return End::Dead(self.link.dead_after);
            }
            sleep_until(dead_at).await;
        }
    }
}

/// The whole frame as one message: an event, or an array of them.
fn array(frame: &Frame) -> Result<Utf8Bytes, End> {
    let mut bodies = frame.bodies();
    if let (Some(only), None) = (bodies.next(), bodies.next()) {
        return text(only.clone());
    }
    let mut array = Vec::with_capacity(frame.bytes + frame.events.len() + 1024);
    for (index, body) in frame.bodies().enumerate() {
        array.push(if index == 0 { b'[' } else { b',' });
        array.extend_from_slice(body);
    }
    array.push(b']');
    text(array.into())
}

/// Each event as a message of its own, without its number, which the original's parts do not know.
fn legacy_texts(frame: &Frame) -> Result<Vec<Utf8Bytes>, End> {
    let without_seq = |body: &Bytes| match seq_member(body) {
        None => text(body.clone()),
        Some(member) => text([&body[..member.start], &body[member.end..]].concat().into()),
    };
    frame.bodies().map(without_seq).collect()
}

fn text(bytes: Bytes) -> Result<Utf8Bytes, End> {
    Utf8Bytes::try_from(bytes).map_err(|_| End::Broken("an event is no text".into()))
}

async fn farewell(sink: &mut SplitSink<Socket, Message>, stream: &mut SplitStream<Socket>) {
    let close = CloseFrame {
        code: CloseCode::Away,
        reason: "the runner ends the link".into(),
    };
    if sink.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = stream.next().await {}
    }
}
