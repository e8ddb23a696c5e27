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
}

type Sink = SplitSink<WebSocket, Message>;

impl Writer {
    /// Runs until the link is closed by either side or broken. Returns the sink's last state by dropping
    /// it: the reader sees the end.
    pub(super) async fn run(self, mut sink: Sink, mut commands: mpsc::Receiver<Frame>) {
        // An error means that the link is broken; the reader finds out too, and tells.
        let _ = self.write(&mut sink, &mut commands).await;
    }

    async fn write(
        &self,
        sink: &mut Sink,
        commands: &mut mpsc::Receiver<Frame>,
    ) -> Result<(), axum::Error> {
        let mut pings =
            tokio::time::interval_at(Instant::now() + self.ping_interval, self.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                say = self.link.outbox.next() => match say {
                    Say::Frames(frames) => write_all(sink, frames).await?,
                    Say::Last(frames, closing) => {
                        write_all(sink, frames).await?;
                        return sink.send(closing.message()).await;
                    }
                },
                Some(frame) = commands.recv() => {
                    sink.send(Message::Text(frame.text)).await?;
                    // The request that asked may have given up waiting.
                    let _ = frame.written.send(());
                }
                _ = pings.tick() => sink.send(Message::Ping(Bytes::new())).await?,
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
