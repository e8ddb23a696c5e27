//! One live client: what it follows, where it stands, and the two directions of its socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hopline_processor::feed::Interest;
use hopline_wire::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::queue::{Next, Queue};
use super::snapshot::{newest_build, nothing_yet, project_of};
use super::threads::give_way;
use crate::access::LiveRight;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};

/// A client whose socket takes nothing for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// A client is gone of which nothing, not even the answer to a ping, was heard for so many heartbeats.
const SILENT_HEARTBEATS: u32 = 3;

/// What a client wants to follow.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Wanted {
    pub(super) project_id: Option<Uuid>,
    pub(super) session_id: Option<Uuid>,
    pub(super) since: Option<u64>,
}

/// What clients send.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum FromClient {
    Subscribe(Wanted),
    GetState,
    Heartbeat,
    /// From a newer client.
    #[serde(other)]
    Unknown,
}

/// Why a client's connection ends.
enum Ended {
    /// It went, or is taken for gone.
    Gone,
    /// The server is to tell it.
    Closed(u16, &'static str),
}

impl From<axum::Error> for Ended {
    fn from(_: axum::Error) -> Self {
        Self::Gone
    }
}

/// Checks what is wanted against what is there and what the client may see.
///
/// # Errors
/// 400 if nothing is named, 403 if it is not the client's to see, 404 if it is not there.
pub(super) async fn interest_of(
    app: &App,
    right: LiveRight,
    wanted: &Wanted,
) -> ApiResult<Interest> {
    let own = match right {
        LiveRight::All => None,
        LiveRight::Project(id) => Some(id),
    };
    let (interest, project_id) = match (wanted.session_id, wanted.project_id.or(own)) {
        (Some(session_id), project_id) => {
            let of = project_of(&*app.store, session_id).await?;
            let of = of.filter(|of| project_id.is_none_or(|project_id| project_id == *of));
            let of = of.ok_or_else(|| ApiError::not_found("build"))?;
            (Interest::Session(session_id), of)
        }
        (None, Some(project_id)) => {
            app.project(project_id).await?;
            (Interest::Project(project_id), project_id)
        }
        (None, None) => {
            return Err(ApiError::bad_request(
                "bad_request",
                "name what to follow: projectId, sessionId or both",
            ));
        }
    };
    if own.is_some_and(|own| own != project_id) {
        return Err(ApiError::forbidden(
            "forbidden",
            "the token is for another project",
        ));
    }
    Ok(interest)
}

/// One client's connection.
pub(super) struct Client {
    app: Arc<App>,
    sink: SplitSink<WebSocket, Message>,
    right: LiveRight,
    interest: Interest,
    queue: Arc<Queue>,
    joined_at: Instant,
    /// Per build, the last event that the client knows.
    positions: HashMap<Uuid, u64>,
}

impl Client {
    /// Serves a client, which is counted among the live ones, until it goes or the server ends.
    pub(super) async fn serve(
        app: Arc<App>,
        socket: WebSocket,
        right: LiveRight,
        interest: Interest,
        wanted: Wanted,
    ) {
        let (sink, stream) = socket.split();
        let mut client = Self {
            queue: Arc::new(Queue::new(app.options.live.client_bytes)),
            app,
            sink,
            right,
            interest,
            joined_at: Instant::now(),
            positions: HashMap::new(),
        };
        let ended = client.run(stream, wanted).await;
        client.app.counters.live_clients.dec();
        if let Err(Ended::Closed(code, reason)) = ended {
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::from_static(reason),
            };
            // A client that has gone in the meantime needs no farewell.
            let farewell = client.sink.send(Message::Close(Some(frame)));
            let _ = timeout(Duration::from_secs(1), farewell).await;
        }
    }

    async fn run(
        &mut self,
        mut stream: SplitStream<WebSocket>,
        wanted: Wanted,
    ) -> Result<(), Ended> {
        let connected = json!({ "type": "connected", "clientId": Uuid::new_v4() });
        self.send(connected.to_string().into()).await?;
        self.follow(wanted).await?;
        let stopping = self.app.stopping.clone();
        let every = self.app.options.live.heartbeat;
        let mut heartbeat = tokio::time::interval_at(Instant::now() + every, every);
        let mut heard = Instant::now();
        loop {
            let queue = Arc::clone(&self.queue);
            tokio::select! {
                () = stopping.cancelled() => {
                    return Err(Ended::Closed(close_code::AWAY, "the server is stopping"));
                }
                message = stream.next() => {
                    heard = Instant::now();
                    let message = message.ok_or(Ended::Gone)??;
                    self.receive(message).await?;
                }
                next = queue.next() => self.pass_on(next).await?,
                _ = heartbeat.tick() => {
                    if heard.elapsed() > every * SILENT_HEARTBEATS {
                        return Err(Ended::Gone);
                    }
                    self.beat().await?;
                }
            }
        }
    }

    /// Begins to follow what the client has asked for, with all that it has not yet.
    async fn follow(&mut self, wanted: Wanted) -> Result<(), Ended> {
        self.queue = Arc::new(Queue::new(self.app.options.live.client_bytes));
        self.positions.clear();
        let since = wanted.session_id.zip(wanted.since);
        let joined = self
            .app
            .live
            .join(self.interest, &self.queue, since)
            .await
            .ok_or(Ended::Closed(close_code::AWAY, "the server is stopping"))?;
        self.joined_at = Instant::now();
        match since {
            Some((session_id, seq)) if joined.caught_up => {
                self.positions.insert(session_id, seq);
                Ok(())
            }
            Some((session_id, _)) => self.send_state(session_id).await,
            None => self.send_states().await,
        }
    }

    /// Sends the state of what the client follows: of the build, or of the project's newest.
    async fn send_states(&mut self) -> Result<(), Ended> {
        self.positions.clear();
        let (session_id, project_id) = match self.interest {
            Interest::Session(session_id) => (Some(session_id), None),
            Interest::Project(project_id) => {
                let app = Arc::clone(&self.app);
                let newest = async move { newest_build(&*app.store, project_id).await };
                let newest = self.read(newest).await?;
                (newest.map_err(|error| failed(&error))?, Some(project_id))
            }
        };
        match (session_id, project_id) {
            (Some(session_id), _) => self.send_state(session_id).await,
            (None, Some(project_id)) => match nothing_yet(project_id) {
                Some(text) => self.send(text).await,
                None => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }

    /// Sends a build's state.
    async fn send_state(&mut self, session_id: Uuid) -> Result<(), Ended> {
        let (app, since) = (Arc::clone(&self.app), self.joined_at);
        let taking = async move { app.snapshots.take(&*app.store, session_id, since).await };
        let snapshot = self.read(taking).await?;
        let snapshot = snapshot.map_err(|error| failed(&error))?;
        let Some(snapshot) = snapshot else {
            return Err(Ended::Closed(close_code::POLICY, "the build is gone"));
        };
        self.positions.insert(session_id, snapshot.seq);
        self.app.counters.live_snapshots.inc();
        self.send(snapshot.text).await
    }

    async fn read<T: Send + 'static>(
        &self,
        reading: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Ended> {
        let read = self.app.live.at_home(reading).await;
        read.ok_or(Ended::Closed(close_code::AWAY, "the server is stopping"))
    }

    async fn pass_on(&mut self, next: Next) -> Result<(), Ended> {
        let (batch, flush) = match next {
            Next::Batch(batch, flush) => (batch, flush),
            Next::Lagged => {
                self.joined_at = Instant::now();
                return self.send_states().await;
            }
        };
        if !self.positions.contains_key(&batch.session_id) {
            self.send_state(batch.session_id).await?;
        }
        let position = self.positions.entry(batch.session_id).or_default();
        let text = batch.text_after(*position);
        *position = batch.seq.max(*position);
        if let Some(text) = text {
            self.send(text).await?;
        }
        if let Some(flush) = flush {
            flush.taken();
        }
        Ok(())
    }

    async fn receive(&mut self, message: Message) -> Result<(), Ended> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(Ended::Gone),
            // Pings are answered below us, and nobody sends binary frames.
            _ => return Ok(()),
        };
        match serde_json::from_str(&text) {
            Ok(FromClient::Subscribe(wanted)) => {
                let (app, right) = (Arc::clone(&self.app), self.right);
                let asking = async move { interest_of(&app, right, &wanted).await };
                match self.read(asking).await? {
                    Ok(interest) => {
                        self.interest = interest;
                        self.follow(wanted).await
                    }
                    Err(error) => self.complain(&error).await,
                }
            }
            Ok(FromClient::GetState) => {
                self.joined_at = Instant::now();
                self.send_states().await
            }
            Ok(FromClient::Heartbeat) => self.beat().await,
            Ok(FromClient::Unknown) => Ok(()),
            Err(error) => {
                let error = ApiError::bad_request(
                    "bad_request",
                    format!("the message cannot be read: {error}"),
                );
                self.complain(&error).await
            }
        }
    }

    async fn complain(&mut self, error: &ApiError) -> Result<(), Ended> {
        let message = json!({ "type": "error", "error": error.message(), "code": error.code() });
        self.send(message.to_string().into()).await
    }

    async fn beat(&mut self) -> Result<(), Ended> {
        let message = json!({ "type": "heartbeat", "timestamp": Timestamp::now() });
        self.send(message.to_string().into()).await?;
        self.put(Message::Ping(bytes::Bytes::new())).await
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), Ended> {
        self.put(Message::Text(text)).await
    }

    async fn put(&mut self, message: Message) -> Result<(), Ended> {
        let stopping = self.app.stopping.clone();
        give_way();
        tokio::select! {
            sent = timeout(SEND_TIMEOUT, self.sink.send(message)) => match sent {
                Ok(sent) => Ok(sent?),
                Err(_) => Err(Ended::Gone),
            },
            // A socket that takes nothing must not hold the server's end up.
            () = stopping.cancelled() => {
                Err(Ended::Closed(close_code::AWAY, "the server is stopping"))
            }
        }
    }
}

fn failed(error: &ApiError) -> Ended {
    tracing::warn!(
        error = error.message(),
        "a live client's state could not be read"
    );
    Ended::Closed(close_code::AGAIN, "the state cannot be read just now")
}
