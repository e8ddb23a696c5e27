//! `POST /commands`: a command on its way to a runner.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, State};
use axum::http::{HeaderMap, StatusCode};
use hopline_telemetry::context::BaggageCache;
use hopline_telemetry::{Hop, OpenSpan, TraceContext};
use hopline_wire::Timestamp;
use hopline_wire::carrier::{BadCarrier, CarrierRef};
use hopline_wire::link::SUBPROTOCOL;
use hopline_wire::span::{EventKeys, Span, Text};
use hopline_wire::splice;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Edge, Refusal};
use crate::link::NotWritten;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    runner_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    command: Option<&'a RawValue>,
}

/// What the broker reads of a command.
#[derive(Deserialize)]
struct CommandHead<'a> {
    #[serde(default)]
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(rename = "projectId", default)]
    project_id: Option<String>,
    #[serde(rename = "_sentry", borrow, default)]
    carrier: Option<&'a RawValue>,
}

/// See the module.
pub(super) async fn route(
    State(edge): State<Arc<Edge>>,
    request: axum::extract::Request,
) -> Result<Json<serde_json::Value>, Refusal> {
    let headers = request.headers().clone();
    // Of whoever has no secret nothing more is read.
    edge.authorise(&headers)?;
    let body = Bytes::from_request(request, &()).await.map_err(|error| {
        let code = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            _ => "bad_request",
        };
        Refusal::new(error.status(), code, error.body_text())
    })?;
    let bad = |error: String| {
        edge.counters.failed_commands.inc();
        Refusal::new(StatusCode::BAD_REQUEST, "bad_command", error)
    };
    let request: Request<'_> = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("expected {{runnerId, command}} in JSON: {error}")))?;
    let command = request
        .command
        .filter(|command| command.get().starts_with('{'))
        .ok_or_else(|| bad("expected command to be an object".into()))?
        .get();
    let runner = request
        .runner_id
        .filter(|runner| !runner.is_empty())
        .ok_or_else(|| bad("expected runnerId to be a text".into()))?;
    let head: CommandHead<'_> = serde_json::from_str(command)
        .map_err(|error| bad(format!("expected a command: {error}")))?;
    if head.id.is_empty() || head.kind.is_empty() {
        return Err(bad("expected id and type of the command to be texts".into()));
    }
    let (span, carrier) = edge.trace(&headers, &head);
    let frame = match carrier {
        Some(trace) => set_carrier(command, &trace).map_err(bad)?,
        None => command.to_owned(),
    };
    let sent = match edge.hub.link(&runner) {
        Some(link) => {
            let sent = link.send(frame, edge.command_patience).await;
            sent.map(|()| if link.acks { SUBPROTOCOL } else { "legacy" })
        }
        None => Err(NotWritten::Gone),
    };
    edge.answer(sent, span)
}

impl Edge {
    /// The command's span, if it is recorded, and the carrier to pass on, if it differs from the
    /// command's own.
    fn trace(
        &self,
        headers: &HeaderMap,
        head: &CommandHead<'_>,
    ) -> (Option<OpenSpan>, Option<TraceContext>) {
        let at = Timestamp::now();
        let from_headers = self.read(TraceContext::from_headers(|name| {
            let lines = headers.get_all(name).into_iter();
            lines.filter_map(|value| value.to_str().ok())
        }));
        let by_headers = from_headers.is_some();
        let received = from_headers.or_else(|| {
            let carrier = head.carrier.filter(|raw| raw.get() != "null")?;
            let context = CarrierRef::read(carrier)
                .and_then(|carrier| {
                    TraceContext::from_carrier(&carrier, &mut BaggageCache::default())
                })
                .map(Some);
            self.read(context)
        });
        let keys = EventKeys {
            event_type: head.kind.clone().into(),
            project_id: head.project_id.clone().unwrap_or_default().into(),
            command_id: head.id.clone().into(),
            ..EventKeys::default()
        };
        let kind = Text::from(head.kind.clone());
        let (span, parent) = match received {
            Some(received) => {
                let undecided = received.sampled.is_none();
                let parent = received.decided(&self.sampler);
                if !parent.is_recorded() {
                    return (None, (by_headers || undecided).then_some(parent));
                }
                let span = self.tracer.begin(Hop::RouteCommand, kind, &parent, at);
                (span, parent)
            }
            None => {
                let name = Hop::RouteCommand.named(kind.clone()).to_string();
                let parent = TraceContext::new_trace(&self.sampler, &self.head, &name, None);
                if !parent.is_recorded() {
                    return (None, Some(parent));
                }
                let span = self.tracer.begin_head(Hop::RouteCommand, kind, &parent, at);
                (span, parent)
            }
        };
        let carrier = parent.child(span.span_id);
        let span = Span {
            event: Some(keys),
            ..span
        };
        (Some(self.tracer.open(span)), Some(carrier))
    }

    fn read(&self, context: Result<Option<TraceContext>, BadCarrier>) -> Option<TraceContext> {
        context.unwrap_or_else(|_| {
            self.counters.malformed_carriers.inc();
            None
        })
    }

    fn answer(
        &self,
        sent: Result<&'static str, NotWritten>,
        span: Option<OpenSpan>,
    ) -> Result<Json<serde_json::Value>, Refusal> {
        let (code, error) = match sent {
            Ok(protocol) => {
                if let Some(span) = span {
                    span.end();
                }
                self.counters.commands.inc();
                // The server sends a command again only to a runner that executes it once all the same.
                let answer = serde_json::json!({"ok": true, "protocol": protocol});
                return Ok(Json(answer));
            }
            Err(NotWritten::Gone) => ("runner_not_connected", "the runner is not connected"),
            Err(NotWritten::Busy) => ("runner_busy", "the runner does not read what is sent to it"),
        };
        if let Some(span) = span {
            span.fail(code, error);
            span.end();
        }
        self.counters.failed_commands.inc();
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, error))
    }
}

/// The command with its carrier set, its other bytes as they came.
fn set_carrier(command: &str, trace: &TraceContext) -> Result<String, String> {
    let mut carrier = Vec::new();
    trace.write_carrier(&mut carrier);
    let carrier = String::from_utf8(carrier).map_err(|error| error.to_string())?;
    let mut frame = Vec::with_capacity(command.len() + carrier.len() + 16);
    splice::set_carrier(command, &carrier, &mut frame).map_err(|error| error.to_string())?;
    String::from_utf8(frame).map_err(|error| error.to_string())
}
