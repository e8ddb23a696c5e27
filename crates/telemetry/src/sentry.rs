//! Spans out to Sentry, or to whatever takes its place: envelopes of spans of the second version, one trace in each, and an
//! error event for each build that failed.
//!
//! Unfinished spans are not sent: Sentry has no later word on a span. What Sentry asks to be held back
//! (`X-Sentry-Rate-Limits`, `Retry-After`) is held back, all of it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hopline_wire::baggage::SamplingContext;
use hopline_wire::sentry::write;
use hopline_wire::span::{Span, Value};
use hopline_wire::{TraceId, ops};
use reqwest::Response;
use reqwest::header::HeaderMap;

use crate::context::Head;
use crate::contract::keys;
use crate::exporter::{Answer, Encoded, REFUSED, send};
use crate::heads::Heads;
use crate::losses::Drops;

/// How a command ended that nobody needs to hear of.
const CANCELLED: &str = "cancelled";

/// How many bytes an envelope has at most, unless a single span has more: a fraction of what is taken.
const ENVELOPE_BYTES: usize = 8 << 20;

/// How long it is held back at most, whatever is asked: a day.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// A project at Sentry.
#[derive(Clone)]
pub struct SentryOptions {
    /// Where its envelopes go: `https://o1.ingest.sentry.io/api/2/envelope/`.
    pub url: String,
    /// The public key of its DSN.
    pub public_key: String,
    /// What is said of traces whose head is not known.
    pub head: Head,
    /// What their heads said.
    pub heads: Heads,
}

impl SentryOptions {
    /// The sampling context of a trace. Sentry takes spans only with the key of the project that they go to, or of one that
    /// the trace's head sends to.
    fn context_of(&self, trace_id: TraceId) -> SamplingContext {
        let said = self.heads.of(trace_id);
        // One that is about another trace would have Sentry let the spans go.
        let said = said.filter(|said| said.trace_id.is_none_or(|about| about == trace_id));
        let mut context = said.unwrap_or_else(|| SamplingContext {
            release: self.head.release.clone(),
            environment: self.head.environment.clone(),
            org_id: self.head.org_id.clone(),
            ..SamplingContext::default()
        });
        context.trace_id.get_or_insert(trace_id);
        let key = || self.public_key.clone();
        context.public_key.get_or_insert_with(key);
        context
    }
}

/// The envelopes that say these spans.
pub(crate) fn encode<'a>(
    options: &SentryOptions,
    spans: impl Iterator<Item = &'a Span>,
) -> Vec<Encoded> {
    let mut traces: Vec<(TraceId, Vec<&Span>)> = Vec::new();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    for span in spans.filter(|span| !span.pending) {
        let place = *places.entry(span.trace_id).or_insert(traces.len());
        if place == traces.len() {
            traces.push((span.trace_id, Vec::new()));
        }
        traces[place].1.push(span);
    }
    let mut envelopes = Vec::new();
    for (trace_id, spans) in traces {
        let context = options.context_of(trace_id);
        for spans in spans.chunks(write::MAX_SPANS) {
            add_spans(&context, spans, &mut envelopes);
        }
        let failures = spans.iter().filter(|span| is_failed_build(span));
        let failures = failures.map(|span| Encoded {
            body: write::failure(&context, span),
            spans: 0,
            drops: Drops::new(REFUSED),
        });
        envelopes.extend(failures);
    }
    envelopes
}

/// Adds the envelopes that say these spans, in halves where one would be too large.
fn add_spans(context: &SamplingContext, spans: &[&Span], envelopes: &mut Vec<Encoded>) {
    let body = write::spans(context, spans.iter().copied());
    if body.len() > ENVELOPE_BYTES && spans.len() > 1 {
        let (first, rest) = spans.split_at(spans.len() / 2);
        add_spans(context, first, envelopes);
        return add_spans(context, rest, envelopes);
    }
    envelopes.push(Encoded {
        body,
        spans: spans.len() as u64,
        drops: Drops::of(REFUSED, spans.iter().copied()),
    });
}

/// Whether the span is a build that failed, be it that its runner died: the span of its command says both.
fn is_failed_build(span: &Span) -> bool {
    let is_build = &*span.op == ops::RUNNER_COMMAND && span.name.rest.ends_with("start-build");
    let cancelled = span.attribute(keys::ERROR_TYPE) == Some(Value::from(CANCELLED));
    is_build && span.status.is_error() && !cancelled
}

pub(crate) async fn post(options: &SentryOptions, client: &reqwest::Client, body: Bytes) -> Answer {
    let auth = format!(
        "Sentry sentry_version=7, sentry_client={}, sentry_key={}",
        write::CLIENT,
        options.public_key
    );
    let request = client
        .post(&options.url)
        .header("content-type", write::ENVELOPE)
        .header("content-encoding", "gzip")
        .header("x-sentry-auth", auth)
        .body(body);
    match send(request).await {
        Ok(response) => answer(&response),
        Err(answer) => answer,
    }
}

fn answer(response: &Response) -> Answer {
    let pause = held_back(response.headers());
    match (response.status().as_u16(), pause) {
        (200..=299, Some(pause)) => Answer::TakenThenPause(pause),
        (200..=299, None) => Answer::Taken(None),
        // Without a word on how long, a minute (Sentry's SDK specification, "Rate Limiting").
        (429, pause) => Answer::TryAgain(Some(pause.unwrap_or(Duration::from_secs(60)))),
        (500..=599, pause) => Answer::TryAgain(pause),
        (status, _) => Answer::Refused(status),
    }
}

/// For how long spans or errors are to be held back, if they are: by the limits that name them, or that name nothing and so
/// mean all; else by `Retry-After`.
fn held_back(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let limits = text("x-sentry-rate-limits").map(|limits| {
        let of_ours = limits.split(',').filter_map(|limit| {
            let mut fields = limit.trim().split(':');
            let seconds: u64 = fields.next()?.trim().parse().ok()?;
            let categories = fields.next().unwrap_or_default();
            let mut categories = categories.split(';').map(str::trim);
            let is_ours = categories.any(|category| matches!(category, "" | "span" | "error"));
            is_ours.then_some(seconds)
        });
        of_ours.max().filter(|seconds| *seconds > 0)
    });
    let seconds = match limits {
        Some(seconds) => seconds,
        None => text("retry-after").and_then(|text| text.trim().parse().ok()),
    };
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_held_back_is_read_as_sentry_says_it() {
        let limits = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            held_back(&headers).map(|time| time.as_secs())
        };
        for (value, seconds) in [
            ("60:span:organization", Some(60)),
            (
                "60:transaction:key, 2700:default;error;security:organization",
                Some(2_700),
            ),
            ("60::organization", Some(60)),
            ("60", Some(60)),
            ("60:session:key", None),
            ("x:span:key", None),
            ("99999999:span:key", Some(86_400)),
        ] {
            assert_eq!(limits("x-sentry-rate-limits", value), seconds, "{value}");
        }
        assert_eq!(limits("retry-after", "7"), Some(7));
        assert_eq!(limits("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
