//! The server's side of a broker's `POST /commands`.

use std::time::Duration;

use hopline_wire::command::Command;
use hopline_wire::link::SUBPROTOCOL;
use hopline_wire::secret::Secret;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::Outgoing;

/// How long a broker may take to answer. It answers once the frame is written, or after seven seconds at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a broker said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The frame is written; whether the runner's link is one whose runners execute a command once,
    /// however often it is sent.
    Written {
        /// So the broker says.
        executes_once: bool,
    },
    /// Not now: the runner is away, the broker is busy or cannot be reached.
    NotNow,
    /// Nothing: it got the command, and its answer never came. The frame may be written.
    Unclear,
    /// Never: it does not take such a command from this server.
    Never(StatusCode),
}

/// Posts commands to brokers.
#[derive(Clone)]
pub(crate) struct BrokerClient {
    client: reqwest::Client,
    secret: Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Post<'a> {
    runner_id: &'a str,
    command: &'a Command,
}

impl BrokerClient {
    /// # Errors
    /// If the system gives no client.
    pub(crate) fn new(secret: Secret) -> Result<Self, reqwest::Error> {
        let client = hopline_telemetry::http::client_builder()
            .timeout(ANSWER_TIMEOUT)
            .connect_timeout(Duration::from_secs(3))
            .build()?;
        Ok(Self { client, secret })
    }

    /// Posts a command once.
    pub(super) async fn post(&self, outgoing: &Outgoing) -> Said {
        let target = &outgoing.target;
        let body = Post {
            runner_id: &target.runner_id,
            command: &outgoing.command,
        };
        let mut request = self
            .client
            .post(format!("{}/commands", target.broker_url))
            .bearer_auth(self.secret.expose())
            .json(&body);
        for (name, value) in outgoing.context.headers() {
            request = request.header(name, value);
        }
        let trace_id = outgoing.context.trace_id;
        let response = match request.send().await {
            Ok(response) if response.status().is_success() => {
                // The answer of another broker than ours says nothing of it, and need not be JSON.
                let answer: Answer = response.json().await.unwrap_or_default();
                let executes_once = answer.protocol.as_deref() == Some(SUBPROTOCOL);
                return Said::Written { executes_once };
            }
            other => other,
        };
        match response.map(|response| response.status()) {
            Ok(status) if is_final(status) => Said::Never(status),
            Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                tracing::warn!(%trace_id, broker = target.broker_url, %status, "a broker does not take the runner secret");
                Said::NotNow
            }
            // A proxy's word: the broker itself never says it.
            Ok(StatusCode::GATEWAY_TIMEOUT) => Said::Unclear,
            Ok(status) => {
                tracing::debug!(%trace_id, command = outgoing.command.id, %status, "a broker did not take a command");
                Said::NotNow
            }
            Err(error) => {
                let connected = !error.is_connect();
                let error = error.without_url();
                tracing::debug!(%trace_id, command = outgoing.command.id, %error, "a broker cannot be reached");
                if connected {
                    Said::Unclear
                } else {
                    Said::NotNow
                }
            }
        }
    }
}

/// What a broker of ours answers to a command that it has written.
#[derive(Default, Deserialize)]
struct Answer {
    /// The link's protocol.
    #[serde(default)]
    protocol: Option<String>,
}

/// Whether asking again is no use: the request itself is refused, not its moment. A wrong secret can be
/// mended while the command waits; the broker's own names are settled when it starts.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::MISDIRECTED_REQUEST
    )
}
