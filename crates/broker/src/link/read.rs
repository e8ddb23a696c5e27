//! The reading half of a link: frames in, events to the hub.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use hopline_wire::splice;
use tokio::task::JoinHandle;

use super::{
    CLOSE_PROTOCOL_ERROR, CLOSE_TIMEOUT, CLOSE_TOO_LARGE, Closing, Link, Links, MAX_FRAME_BYTES,
};
use crate::hub::Arrival;

/// What is to be done after a message.
enum Then {
    GoOn,
    /// The runner has closed the link.
    Ended,
    Close(Closing),
}

impl Links {
    /// Reads until the link ends, and answers why it did. `writing` ends first when the broker closes.
    pub(super) async fn read(
        &self,
        mut stream: SplitStream<WebSocket>,
        link: &Arc<Link>,
        mut writing: JoinHandle<()>,
    ) -> &'static str {
        let mut numbered = 0;
        // Whoever bears the shared secret may do anything anyway.
        let paced = link.connection.token.as_ref();
        let why = loop {
            let turn = async {
                self.hub.wait_for_room(&link.connection.runner).await;
                if let Some(token) = paced {
                    let ready_at = self.paces.lock().ready_at(token, Instant::now());
                    tokio::time::sleep_until(ready_at.into()).await;
                }
            };
            // While the hub is full, or the runner too fast, nothing is read, and so the link cannot be found dead either.
            tokio::select! {
                biased;
                () = self.stop_reading.cancelled() => {
                    tokio::select! {
                        _ = &mut writing => {}
                        () = link.cut.cancelled() => last_words(&mut writing).await,
                    }
                    drain(&mut stream).await;
                    return "the broker is shutting down";
                }
                () = link.cut.cancelled() => {
                    last_words(&mut writing).await;
                    break "ended by the broker";
                }
                _ = &mut writing => break "closed by the broker, or broken",
                () = turn => {}
            }
            let message = tokio::select! {
                biased;
                () = self.stop_reading.cancelled() => continue,
                () = link.cut.cancelled() => continue,
                message = tokio::time::timeout(self.settings.dead_after, stream.next()) => message,
                _ = &mut writing => break "closed by the broker, or broken",
            };
            let then = match message {
                Err(_) => {
                    writing.abort();
                    return "nothing came for too long";
                }
                Ok(None) => Then::Ended,
                Ok(Some(Err(error))) => self.broken(&error),
                Ok(Some(Ok(message))) => {
                    let (before, bytes) = (numbered, length(&message));
                    let then = self.message(link, message, &mut numbered);
                    if let Some(token) = paced {
                        let events = usize::try_from(numbered - before).unwrap_or(usize::MAX);
                        // A frame that is no event costs us as much.
                        let events = events.max(1);
                        let mut paces = self.paces.lock();
                        paces.came(token.clone(), events, bytes, Instant::now());
                    }
                    then
                }
            };
            match then {
                Then::GoOn => {}
                Then::Ended => {
                    writing.abort();
                    // The reply to the runner's closing frame goes out while the end is waited for.
                    drain(&mut stream).await;
                    return "closed by the runner";
                }
                Then::Close(closing) => {
                    tracing::warn!(runner = &*link.connection.runner, reason = %closing.reason, "closing a link");
                    link.end(closing);
                }
            }
        };
        if link.acks || link.has_ended() {
            drain(&mut stream).await;
        } else {
            self.take_rest(&mut stream, link, numbered).await;
        }
        why
    }

    /// Takes what a runner has written on an older link before it heard that this is closed: that counts as settled with it.
    async fn take_rest(
        &self,
        stream: &mut SplitStream<WebSocket>,
        link: &Arc<Link>,
        mut numbered: u64,
    ) {
        let rest = async {
            loop {
                // Before it is read: what was read must not be dropped when the time is up.
                self.hub.wait_for_room(&link.connection.runner).await;
                let Some(Ok(message)) = stream.next().await else {
                    break;
                };
                if !matches!(self.message(link, message, &mut numbered), Then::GoOn) {
                    break;
                }
            }
        };
        // A runner that does not close its end is not waited for.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
    }

    fn message(&self, link: &Arc<Link>, message: Message, numbered: &mut u64) -> Then {
        let frame = match message {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(bytes) => bytes,
            Message::Ping(_) | Message::Pong(_) => return Then::GoOn,
            Message::Close(_) => return Then::Ended,
        };
        if frame.len() > MAX_FRAME_BYTES {
            self.counters.bad_frames.inc();
            return Then::Close(Closing::new(
                CLOSE_TOO_LARGE,
                format!(
                    "a frame has {} bytes, expected at most {MAX_FRAME_BYTES}",
                    frame.len()
                ),
            ));
        }
        match splice::split(&frame) {
            Ok(events) => {
                let arrivals: Vec<_> = events.iter().map(Arrival::read).collect();
                self.hub.receive(link, &arrivals, *numbered);
                *numbered += arrivals.len() as u64;
            }
            Err(error) => {
                self.counters.bad_frames.inc();
                tracing::warn!(runner = &*link.connection.runner, %error, "ignored a frame that is no event");
            }
        }
        Then::GoOn
    }

    fn broken(&self, error: &axum::Error) -> Then {
        self.counters.bad_frames.inc();
        let reason = error.to_string();
        // The library refuses what is far too large by itself, before it has read it.
        let code = if reason.contains("too long") {
            CLOSE_TOO_LARGE
        } else {
            CLOSE_PROTOCOL_ERROR
        };
        Then::Close(Closing::new(code, reason))
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

/// Lets what is said last be written, but not for long.
async fn last_words(writing: &mut JoinHandle<()>) {
    if tokio::time::timeout(CLOSE_TIMEOUT, &mut *writing)
        .await
        .is_err()
    {
        writing.abort();
    }
}

/// Waits for the runner's side to end, so that our closing frame is not lost to a reset.
async fn drain(stream: &mut SplitStream<WebSocket>) {
    let ended = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, ended).await;
}
