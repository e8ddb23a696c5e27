//! A live client of one build: the WebSocket at `/ws`, read as [`Update`]s.
//!
//! A connection that breaks is made again, and the server gives what was missed or a snapshot; what is
//! at or below the last sequence number seen is passed over. So a follower sees every state that
//! lasts, each once.
//!
//! A state holds no more than so much of a build, the newest. A follower that is given one without its beginning
//! reads what it has not seen from the build's log, so that it misses nothing either.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::log::LogReader;
use super::{ApiClient, ApiError};

/// The pauses between attempts to connect again.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// How long a server may say nothing: heartbeats come every 30 s.
const SILENCE: Duration = Duration::from_secs(90);

/// What a follower is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Update {
    /// The whole state, in place of all that was told before.
    Snapshot(Value),
    /// The plan as it now is.
    Todos(Value),
    /// A tool call as it now is.
    ToolCall(Value),
    /// More of a text.
    Text(Value),
    /// The build's row as it now is.
    Session(Value),
    /// So many events were not told, and the server does not have them any more.
    NotTold(u64),
}

/// A build that is followed.
pub(crate) struct LiveBuild {
    api: ApiClient,
    project_id: String,
    session_id: String,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    last_seq: u64,
    snapshot_seen: bool,
    log: LogReader,
    behind: Option<Behind>,
}

/// A state without its beginning: what is to be read from the log before it.
struct Behind {
    /// The last event that the state includes.
    up_to: u64,
    state: Value,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    state: Value,
    #[serde(default)]
    updates: Vec<FrameUpdate>,
}

#[derive(Deserialize)]
struct FrameUpdate {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

impl LiveBuild {
    /// Begins to follow a build from its first event on.
    ///
    /// # Errors
    /// [`ApiError`] if the server is away or refuses.
    pub(crate) async fn follow(
        api: &ApiClient,
        project_id: &str,
        session_id: &str,
    ) -> Result<Self, ApiError> {
        let mut live = Self {
            api: api.clone(),
            project_id: project_id.to_owned(),
            session_id: session_id.to_owned(),
            socket: None,
            last_seq: 0,
            snapshot_seen: false,
            log: LogReader { active_todo: -1 },
            behind: None,
        };
        live.socket = Some(live.connect().await?);
        Ok(live)
    }

    /// The next updates, at least one. Dropping the future loses nothing that a later call would not give.
    ///
    /// # Errors
    /// [`ApiError`] if the connection broke and could not be made again.
    pub(crate) async fn next(&mut self) -> Result<Vec<Update>, ApiError> {
        loop {
            if self.behind.is_some() {
                let updates = self.catch_up().await?;
                if !updates.is_empty() {
                    return Ok(updates);
                }
                continue;
            }
            let Some(socket) = &mut self.socket else {
                self.socket = Some(self.connect_again().await?);
                continue;
            };
            let message = tokio::time::timeout(SILENCE, socket.next()).await;
            let text = match message {
                Ok(Some(Ok(Message::Text(text)))) => text,
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => {
                    self.socket = None;
                    continue;
                }
                Ok(Some(Ok(_))) => continue,
            };
            let updates = self.read(&text);
            if !updates.is_empty() {
                return Ok(updates);
            }
        }
    }

    /// What a frame says that is new. A frame that is not understood says nothing.
    fn read(&mut self, text: &str) -> Vec<Update> {
        let Ok(frame) = serde_json::from_str::<Frame>(text) else {
            return Vec::new();
        };
        match frame.kind.as_str() {
            "state-update" if is_cut(&frame.state) => {
                self.behind = Some(Behind {
                    up_to: frame.seq,
                    state: frame.state,
                });
                Vec::new()
            }
            "state-update" => {
                self.last_seq = frame.seq;
                self.snapshot_seen = true;
                vec![self.note_plan(Update::Snapshot(frame.state))]
            }
            "batch-update" => {
                let is_new = frame.seq > self.last_seq;
                self.last_seq = self.last_seq.max(frame.seq);
                let updates = frame.updates.into_iter();
                let updates = updates.filter_map(FrameUpdate::into_update);
                let updates = updates.map(|update| self.note_plan(update));
                // What the server decides about a build has no number of its own.
                updates
                    .filter(|update| is_new || matches!(update, Update::Session(_)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Reads on in the log; with its end comes the state that it leads up to.
    async fn catch_up(&mut self) -> Result<Vec<Update>, ApiError> {
        let page = match self.api.events(&self.session_id, self.last_seq).await {
            Ok(page) => page,
            Err(ApiError::Away { .. }) => {
                // Once it is there again it says anew how the build stands.
                (self.socket, self.behind) = (None, None);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let Some(Behind { up_to, mut state }) = self.behind.take() else {
            return Ok(Vec::new());
        };
        let mut updates = Vec::new();
        let last = page.last().map(|event| event.seq);
        for event in page.iter().filter(|event| event.seq <= up_to) {
            updates.extend(self.log.read(event));
            self.last_seq = event.seq;
        }
        if last.is_some_and(|last| last < up_to) {
            self.behind = Some(Behind { up_to, state });
            return Ok(updates);
        }
        if last.is_none() && self.last_seq < up_to {
            updates.push(Update::NotTold(up_to - self.last_seq));
        }
        // Its tool calls and texts were told by the log.
        if let Some(state) = state.as_object_mut() {
            state.remove("toolsByTodo");
            state.remove("textByTodo");
        }
        self.last_seq = self.last_seq.max(up_to);
        self.snapshot_seen = true;
        updates.push(self.note_plan(Update::Snapshot(state)));
        Ok(updates)
    }

    /// Keeps in mind which todo is being done, as the log does not say it of each event.
    fn note_plan(&mut self, update: Update) -> Update {
        if let Update::Snapshot(data) | Update::Todos(data) = &update
            && let Some(index) = data.get("activeTodoIndex").and_then(Value::as_i64)
        {
            self.log.active_todo = i32::try_from(index).unwrap_or(-1);
        }
        update
    }

    async fn connect_again(&self) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, ApiError> {
        let mut last = None;
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            match self.connect().await {
                Ok(socket) => return Ok(socket),
                Err(error @ ApiError::Away { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.away(tungstenite::Error::ConnectionClosed)))
    }

    async fn connect(&self) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, ApiError> {
        // Our own base address starts with http, and so does what a WebSocket's must.
        let base = self.api.base.replacen("http", "ws", 1);
        let since = if self.snapshot_seen {
            format!("&since={}", self.last_seq)
        } else {
            String::new()
        };
        let url = format!(
            "{base}/ws?projectId={}&sessionId={}{since}",
            self.project_id, self.session_id
        );
        let mut request = url
            .into_client_request()
            .map_err(|error| self.away(error))?;
        let bearer = format!("Bearer {}", self.api.admin.expose());
        let mut bearer = tungstenite::http::HeaderValue::from_str(&bearer)
            .map_err(|error| self.away(tungstenite::Error::HttpFormat(error.into())))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert("authorization", bearer);
        hopline_telemetry::http::install_tls_provider();
        match tokio_tungstenite::connect_async_with_config(request, None, true).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => {
                let status = reqwest::StatusCode::from_u16(response.status().as_u16());
                let status = status.unwrap_or(reqwest::StatusCode::INTERNAL_SERVER_ERROR);
                let body = response.body().as_deref().unwrap_or_default();
                Err(ApiError::refused(OPERATION, &self.api.base, status, body))
            }
            Err(error) => Err(self.away(error)),
        }
    }

    fn away(&self, source: tungstenite::Error) -> ApiError {
        ApiError::Away {
            operation: OPERATION,
            base: self.api.base.clone(),
            source: source.into(),
        }
    }
}

const OPERATION: &str = "follow a build";

/// Whether the beginning of the build is left out of its state.
fn is_cut(state: &Value) -> bool {
    state
        .get("truncated")
        .is_some_and(|cut| !matches!(cut, Value::Null | Value::Bool(false)))
}

impl FrameUpdate {
    fn into_update(self) -> Option<Update> {
        match self.kind.as_str() {
            "state-update" => Some(Update::Snapshot(self.data)),
            "todo-update" => Some(Update::Todos(self.data)),
            "tool-call" => Some(Update::ToolCall(self.data)),
            "text-delta" => Some(Update::Text(self.data)),
            "session" => Some(Update::Session(self.data)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopline_wire::secret::Secret;

    fn live() -> LiveBuild {
        LiveBuild {
            api: ApiClient::new("http://127.0.0.1:1", Secret::new("s")).unwrap(),
            project_id: "p".into(),
            session_id: "s".into(),
            socket: None,
            last_seq: 0,
            snapshot_seen: false,
            log: LogReader { active_todo: -1 },
            behind: None,
        }
    }

    #[test]
    fn what_a_snapshot_included_is_passed_over() {
        let mut live = live();
        let snapshot = live.read(r#"{"type":"state-update","state":{"id":"s"},"seq":5}"#);
        assert_eq!(snapshot, [Update::Snapshot(serde_json::json!({"id": "s"}))]);
        let batch = |seq: u64| {
            format!(
                r#"{{"type":"batch-update","seq":{seq},"updates":[{{"type":"text-delta","data":1}},{{"type":"of-tomorrow"}}]}}"#
            )
        };
        assert_eq!(live.read(&batch(5)), []);
        assert_eq!(live.read(&batch(6)), [Update::Text(1.into())]);
        assert_eq!(live.read(r#"{"type":"heartbeat"}"#), []);
        assert_eq!(live.read("nonsense"), []);
    }

    #[tokio::test]
    async fn what_a_state_has_left_out_is_read_from_the_log() {
        let page = |seqs: std::ops::RangeInclusive<u64>| {
            let event = |seq: u64| {
                let part = format!(r#"{{"type":"text-delta","id":"t","delta":"{seq}"}}"#);
                serde_json::json!({"seq": seq, "type": "build-stream", "outcome": "committed",
                    "body": {"data": format!("data: {part}\n\n")}})
            };
            serde_json::json!({ "events": seqs.map(event).collect::<Vec<_>>() })
        };
        let none = serde_json::json!({"events": []});
        let pages = vec![page(6..=7), page(8..=12), none];
        let (base, asked) = crate::api::testing::server(pages).await;
        let mut live = LiveBuild {
            api: ApiClient::new(&base, Secret::new("s")).unwrap(),
            last_seq: 5,
            ..live()
        };
        let cut = |seq: u64| {
            format!(
                r#"{{"type":"state-update","seq":{seq},"state":{{"isActive":true,"truncated":{{"upTo":9}},
                    "textByTodo":{{"-1":[{{"id":"t","kind":"text","text":"12"}}]}}}}}}"#
            )
        };
        let text = |seq: u64| {
            Update::Text(
                serde_json::json!({"todoIndex": -1, "id": "t", "kind": "text", "delta": seq.to_string()}),
            )
        };
        assert_eq!(live.read(&cut(10)), []);
        assert_eq!(live.next().await.unwrap(), [text(6), text(7)]);
        let rest = live.next().await.unwrap();
        assert_eq!(rest[..3], [text(8), text(9), text(10)]);
        let Update::Snapshot(state) = &rest[3] else {
            panic!("{rest:?}")
        };
        assert_eq!(
            (&state["isActive"], state.get("textByTodo")),
            (&Value::Bool(true), None)
        );
        assert_eq!((rest.len(), live.last_seq), (4, 10));
        // The log ends too early.
        assert_eq!(live.read(&cut(12)), []);
        assert_eq!(live.next().await.unwrap()[0], Update::NotTold(2));
        assert_eq!(live.last_seq, 12);
        let asked = asked.lock().unwrap().clone();
        assert!(
            asked[0].contains("/api/builds/s/events?after=5&"),
            "{asked:?}"
        );
        assert!(
            asked[1].contains("after=7&") && asked[2].contains("after=10&"),
            "{asked:?}"
        );
    }
}
