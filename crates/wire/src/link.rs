//! The frames of the runner's link to its broker that are neither commands nor events.
//!
//! The link is a WebSocket at `/socket`. With the subprotocol [`SUBPROTOCOL`] a runner says `hello`,
//! the broker answers `welcome`, and from then on events are acknowledged. Until `welcome` has come the
//! link is the legacy one of the TypeScript original, which acknowledges nothing: some WebSocket
//! servers echo any subprotocol, so the subprotocol alone proves nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::time::Timestamp;

/// The WebSocket subprotocol of a link with acknowledgements.
pub const SUBPROTOCOL: &str = "hopline.v1";

/// The path of the link at the broker.
pub const PATH: &str = "/socket";

/// How long a runner waits for `welcome` before it takes the link for a legacy one.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// How often each side pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// A link from which nothing has come for this long is dead, unless backpressure paused it.
pub const DEAD_AFTER: Duration = Duration::from_secs(60);

/// The close code for a wrong secret (RFC 6455: policy violation).
pub const CLOSE_UNAUTHORISED: u16 = 1008;

/// The close code for a second instance of a runner id while the first lives.
pub const CLOSE_ALREADY_CONNECTED: u16 = 4009;

/// Where a runner stands in one command when its link comes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resume {
    /// The command.
    pub command_id: String,
    /// The first unacknowledged sequence number; the runner sends again from here.
    pub next_seq: u64,
}

/// What a runner says about itself first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The runner's name; the same as in the link's address.
    pub runner_id: String,
    /// One life of the runner's process: tells a reconnect from a second runner of the same name.
    pub instance_id: String,
    /// The runner's version.
    pub version: String,
    /// The agents it can run.
    #[serde(default)]
    pub agents: Vec<String>,
    /// The commands it has unacknowledged events of, or still runs.
    #[serde(default)]
    pub resume: Vec<Resume>,
}

/// The broker's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The most unacknowledged events on this link; one command may use half.
    pub window: u32,
    /// The most unacknowledged bytes on this link; one command may use half.
    pub window_bytes: u64,
    /// The largest event taken, in bytes.
    pub max_event_bytes: u64,
    /// The broker's clock when it wrote this, in ISO 8601 to the microsecond: runners tell by it how far their own
    /// clocks are off, and a link within one machine takes less than a millisecond.
    #[serde(serialize_with = "to_the_microsecond")]
    pub server_time: Timestamp,
}

fn to_the_microsecond<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = at.to_string();
    let micros = at.as_nanos() / 1_000 % 1_000;
    serializer.collect_str(&format_args!(
        "{}{micros:03}Z",
        millis.trim_end_matches('Z')
    ))
}

/// The events of one command up to and including `seq` are settled: committed, or rejected for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsAcked {
    /// The command.
    pub command_id: String,
    /// The last settled sequence number.
    pub seq: u64,
}

/// Asks a runner to send one command's events again, from `seq` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resend {
    /// The command.
    pub command_id: String,
    /// The first sequence number that is missing.
    pub seq: u64,
}

/// A frame that belongs to the link itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum LinkFrame {
    /// Runner to broker, first on a link.
    Hello(Hello),
    /// Broker to runner, in answer.
    Welcome(Welcome),
    /// Broker to runner.
    EventsAcked(EventsAcked),
    /// Broker to runner.
    Resend(Resend),
}

impl LinkFrame {
    /// Whether frames of this `type` belong to the link; all others are commands or events.
    #[must_use]
    pub fn is_link_type(kind: &str) -> bool {
        matches!(kind, "hello" | "welcome" | "events-acked" | "resend")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_names_that_the_format_fixes() {
        let frames = [
            (
                LinkFrame::Hello(Hello {
                    runner_id: "r".into(),
                    instance_id: "i".into(),
                    version: "1".into(),
                    agents: vec!["steps".into()],
                    resume: vec![Resume {
                        command_id: "c".into(),
                        next_seq: 7,
                    }],
                }),
                r#"{"type":"hello","runnerId":"r","instanceId":"i","version":"1","agents":["steps"],"resume":[{"commandId":"c","nextSeq":7}]}"#,
            ),
            (
                LinkFrame::Welcome(Welcome {
                    window: 1,
                    window_bytes: 2,
                    max_event_bytes: 3,
                    server_time: Timestamp::from_nanos(1_002_003_000),
                }),
                r#"{"type":"welcome","window":1,"windowBytes":2,"maxEventBytes":3,"serverTime":"1970-01-01T00:00:01.002003Z"}"#,
            ),
            (
                LinkFrame::EventsAcked(EventsAcked {
                    command_id: "c".into(),
                    seq: 3,
                }),
                r#"{"type":"events-acked","commandId":"c","seq":3}"#,
            ),
            (
                LinkFrame::Resend(Resend {
                    command_id: "c".into(),
                    seq: 3,
                }),
                r#"{"type":"resend","commandId":"c","seq":3}"#,
            ),
        ];
        for (frame, json) in frames {
            assert_eq!(serde_json::to_string(&frame).unwrap(), json);
            assert_eq!(serde_json::from_str::<LinkFrame>(json).unwrap(), frame);
        }
    }
}
