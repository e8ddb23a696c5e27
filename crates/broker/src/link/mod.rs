//! A runner's link: the WebSocket at `/socket`, from its upgrade to its end.
//!
//! A link has two tasks: one reads frames and hands events to the hub, one writes. The reader stops
//! reading while the hub is full, which holds the runner up through TCP; a link that is not being read is
//! never taken for dead. What is written is bounded: acknowledgements are merged until they can be
//! written, commands wait in a short queue.

mod handshake;
mod outbox;
mod read;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::StreamExt as _;
use hopline_wire::Timestamp;
use hopline_wire::limits::MAX_INGEST_BYTES;
use hopline_wire::link::{
    CLOSE_ALREADY_CONNECTED, CLOSE_UNAUTHORISED, LinkFrame, SUBPROTOCOL, Welcome,
};
use hopline_wire::pace::Paces;
use hopline_wire::text;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use outbox::Outbox;

use crate::counters::Counters;
use crate::hub::{Connection, Hub};

/// The largest frame taken, in bytes: as much as one request to the server may carry.
pub(crate) const MAX_FRAME_BYTES: usize = MAX_INGEST_BYTES;

/// How many commands may wait to be written to one runner.
const COMMANDS_WAITING: usize = 64;

/// How long a runner may take to answer the closing of its link.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

const CLOSE_GOING_AWAY: u16 = 1001;
const CLOSE_PROTOCOL_ERROR: u16 = 1002;
const CLOSE_TOO_LARGE: u16 = 1009;
/// IANA's registry of WebSocket close codes, "Try Again Later".
const CLOSE_TRY_AGAIN_LATER: u16 = 1013;
/// Another connection of the same runner has taken this one's place.
const CLOSE_REPLACED: u16 = 4001;

/// A closing frame's reason is at most this long (RFC 6455, section 5.5: 125 bytes with the code).
const MAX_REASON_BYTES: usize = 123;

/// Why and how a link is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closing {
    code: u16,
    reason: String,
}

impl Closing {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }

    /// The broker is ending.
    pub(crate) fn going_away() -> Self {
        Self::new(CLOSE_GOING_AWAY, "the broker is shutting down")
    }

    /// The credential is not good for this link, or not any more.
    pub(crate) fn unauthorised(reason: &'static str) -> Self {
        Self::new(CLOSE_UNAUTHORISED, reason)
    }

    /// It cannot be told just now whether it is.
    pub(crate) fn try_again_later(reason: &'static str) -> Self {
        Self::new(CLOSE_TRY_AGAIN_LATER, reason)
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    fn message(self) -> Message {
        Message::Close(Some(CloseFrame {
            code: self.code,
            reason: text::prefix(&self.reason, MAX_REASON_BYTES).into(),
        }))
    }
}

/// A command on its way into the socket.
pub(crate) struct Frame {
    text: Utf8Bytes,
    /// Told once the socket has taken it.
    written: oneshot::Sender<()>,
    claim: Claim,
}

/// Whoever claims a frame first has it: the writer, which then writes it, or the request that brought it, which
/// then has taken it back. So a command whose request was told that it is not written is never written later.
#[derive(Clone, Default)]
struct Claim(Arc<AtomicBool>);

impl Claim {
    fn is_first(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Takes the frame back when its request ends, be it only because nobody waits for the answer any more.
struct TakenBack(Claim);

impl Drop for TakenBack {
    fn drop(&mut self) {
        let _ = self.0.is_first();
    }
}

/// The rest of the broker's hold on one link.
pub(crate) struct Link {
    pub(crate) connection: Arc<Connection>,
    /// Whether the runner is told what is settled, and can send again: `hopline.v1`.
    pub(crate) acks: bool,
    /// The life of the runner's process, where it told.
    pub(crate) instance: Option<String>,
    pub(crate) since: Timestamp,
    pub(crate) outbox: Outbox,
    /// Cancelled when nothing more of the runner's is to be read.
    cut: CancellationToken,
    /// Cancelled when all is taken of it.
    over: CancellationToken,
    commands: mpsc::Sender<Frame>,
}

/// Why a command could not be written to a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// The link ended first.
    Gone,
    /// The runner does not read.
    Busy,
}

impl Link {
    /// A link without acknowledgements whose socket takes nothing.
    #[cfg(test)]
    pub(crate) fn without_socket(runner: &str) -> Self {
        Self {
            connection: Arc::new(Connection::new(runner.into(), None)),
            acks: false,
            instance: None,
            since: Timestamp::now(),
            outbox: Outbox::default(),
            cut: CancellationToken::new(),
            over: CancellationToken::new(),
            commands: mpsc::channel(1).0,
        }
    }

    /// Ends the link now: nothing more is read, whatever still waits to be written, and however slowly the runner takes it.
    pub(crate) fn end(&self, closing: Closing) {
        self.outbox.close(closing);
        self.cut.cancel();
    }

    /// Whether it was ended, and may only still have to say so.
    pub(crate) fn has_ended(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Writes a command to the runner, and returns when the socket has taken it; also when that has begun, but takes
    /// longer than `patience`: what is half written is written whole, unless the link ends. With an error nothing
    /// of it is written.
    pub(crate) async fn send(&self, text: String, patience: Duration) -> Result<(), NotWritten> {
        let claim = Claim::default();
        let back = TakenBack(claim.clone());
        let (written, done) = oneshot::channel();
        let frame = Frame {
            text: text.into(),
            written,
            claim,
        };
        let sending = async {
            let queued = self.commands.send(frame).await;
            queued.map_err(|_| NotWritten::Gone)?;
            done.await.map_err(|_| NotWritten::Gone)
        };
        match tokio::time::timeout(patience, sending).await {
            Ok(sent) => sent,
            Err(_) if back.0.is_first() => Err(NotWritten::Busy),
            Err(_) => Ok(()),
        }
    }
}

/// What links need of the broker.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) hub: Arc<Hub>,
    pub(crate) counters: Counters,
    pub(crate) settings: Settings,
    /// How fast runners with a token of their own may speak, by its hash.
    pub(crate) paces: Arc<Mutex<Paces<String>>>,
    /// Told when no more events are to be read.
    pub(crate) stop_reading: CancellationToken,
}

/// The figures that links hold to; see [`crate::Options`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) window: u32,
    pub(crate) window_bytes: u64,
    pub(crate) max_event_bytes: usize,
    pub(crate) hello_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) dead_after: Duration,
}

/// Ends a socket that is no link: a wrong secret, say.
pub(crate) async fn refuse(mut socket: WebSocket, closing: Closing) {
    close(&mut socket, closing).await;
}

/// Sends the closing frame and waits for the runner's, so that it is not lost to a reset.
async fn close(socket: &mut WebSocket, closing: Closing) {
    let closed = async {
        if socket.send(closing.message()).await.is_ok() {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        }
    };
    // A runner that does not answer in time is left alone.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
}

impl Links {
    /// Serves one socket of a runner that has shown the secret, or a token of its own with this hash, until it ends.
    pub(crate) async fn serve(
        self,
        mut socket: WebSocket,
        runner: Arc<str>,
        token: Option<String>,
    ) {
        if self.stop_reading.is_cancelled() {
            // Nobody would tell it later.
            return close(&mut socket, Closing::going_away()).await;
        }
        let acks = socket
            .protocol()
            .is_some_and(|protocol| protocol.as_bytes() == SUBPROTOCOL.as_bytes());
        let hello = if acks {
            let hello = handshake::hello(&mut socket, &runner, self.settings.hello_timeout);
            let hello = tokio::select! {
                hello = hello => hello,
                () = self.stop_reading.cancelled() => Err(Closing::going_away()),
            };
            match hello {
                Ok(hello) => Some(hello),
                Err(closing) => {
                    tracing::warn!(runner = &*runner, reason = %closing.reason, "refused a link");
                    return close(&mut socket, closing).await;
                }
            }
        } else {
            None
        };
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING);
        let link = Arc::new(Link {
            connection: Arc::new(Connection::new(runner, token)),
            acks,
            instance: hello.as_ref().map(|hello| hello.instance_id.clone()),
            since: Timestamp::now(),
            outbox: Outbox::default(),
            cut: CancellationToken::new(),
            over: CancellationToken::new(),
            commands,
        });
        if acks {
            link.outbox.say(&LinkFrame::Welcome(self.welcome()));
        }
        let resume = hello.map(|hello| hello.resume).unwrap_or_default();
        match self.hub.attach(&link, &resume) {
            Err(_) => {
                let reason = "another instance of this runner is connected";
                close(&mut socket, Closing::new(CLOSE_ALREADY_CONNECTED, reason)).await;
            }
            Ok(replaced) => {
                if let Some(replaced) = replaced {
                    let reason = "a newer connection of this runner has taken over";
                    let closing = Closing::new(CLOSE_REPLACED, reason);
                    if replaced.acks {
                        // What was not acknowledged comes again on this one.
                        replaced.end(closing);
                    } else {
                        // What was written counts as settled with the runner, and comes before what it writes here.
                        replaced.outbox.close(closing.clone());
                        let over = replaced.over.cancelled();
                        let over = tokio::time::timeout(2 * CLOSE_TIMEOUT, over).await;
                        // Nobody would hear it close, or look whether its token is still good.
                        if over.is_err() {
                            replaced.end(closing);
                        }
                    }
                }
                self.run(socket, &link, waiting).await;
            }
        }
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            window: self.settings.window,
            window_bytes: self.settings.window_bytes,
            max_event_bytes: self.settings.max_event_bytes as u64,
            server_time: Timestamp::now(),
        }
    }

    async fn run(&self, socket: WebSocket, link: &Arc<Link>, waiting: mpsc::Receiver<Frame>) {
        let connection = &link.connection;
        tracing::info!(runner = &*connection.runner, link = %connection.id, acknowledges = link.acks, "a runner is connected");
        let (sink, stream) = socket.split();
        let writer = write::Writer {
            link: Arc::clone(link),
            ping_interval: self.settings.ping_interval,
            dead_after: self.settings.dead_after,
        };
        let writing = tokio::spawn(writer.run(sink, waiting));
        let why = self.read(stream, link, writing).await;
        link.over.cancel();
        self.hub.detach(link);
        tracing::info!(runner = &*connection.runner, link = %connection.id, why, "a runner's link has ended");
    }
}
