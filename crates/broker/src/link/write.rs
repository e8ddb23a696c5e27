//! The writing half of a link.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::outbox::Say;
use super::{Frame, Link};

/// Writes what the broker has to say, and pings.
pub(super) struct Writer {
    pub(super) link: Arc<Link>,
    pub(super) ping_interval: Duration,
    /// A runner that takes nothing for this long, though there is something to write, is dead.
    pub(super) dead_after: Duration,
}

/// The link is broken, or the runner does not read.
struct Stuck;

type Sink = SplitSink<WebSocket, Message>;

impl Writer {
    /// Runs until the broker closes the link, or it is broken.
    pub(super) async fn run(self, mut sink: Sink, mut commands: mpsc::Receiver<Frame>) {
        // An error means that the link is broken; the reader sees this task end, and tells.
        let _ = self.write(&mut sink, &mut commands).await;
    }

    /// Waits for the socket to take something, but not for ever.
    async fn taken(
        &self,
        write: impl Future<Output = Result<(), axum::Error>>,
    ) -> Result<(), Stuck> {
        let written = tokio::time::timeout(self.dead_after, write).await;
        written.map_err(|_| Stuck)?.map_err(|_| Stuck)
    }

    async fn write(
        &self,
        sink: &mut Sink,
        commands: &mut mpsc::Receiver<Frame>,
    ) -> Result<(), Stuck> {
        let mut pings =
            tokio::time::interval_at(Instant::now() + self.ping_interval, self.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                say = self.link.outbox.next() => match say {
                    Say::Frames(frames) => self.taken(write_all(sink, frames)).await?,
                    Say::Last(frames, closing) => {
                        self.taken(write_all(sink, frames)).await?;
                        return self.taken(sink.send(closing.message())).await;
                    }
                },
                Some(frame) = commands.recv() => {
                    if !frame.claim.is_first() {
                        continue;
                    }
                    self.taken(sink.send(Message::Text(frame.text))).await?;
                    // The request that asked may have given up waiting.
                    let _ = frame.written.send(());
                }
                _ = pings.tick() => self.taken(sink.send(Message::Ping(Bytes::new()))).await?,
            }
        }
    }
}

async fn write_all(sink: &mut Sink, frames: Vec<String>) -> Result<(), axum::Error> {
    for frame in frames {
        sink.feed(Message::Text(frame.into())).await?;
    }
    sink.flush().await
}
