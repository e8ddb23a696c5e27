//! Where a trace stands, and its ways in and out of messages, headers and environments.
//!
//! Going in, `sentry-trace` wins over `traceparent`; going out, both are written. What came malformed
//! starts a new trace and is counted by whoever received it; it never fails the message.

use std::sync::Arc;

use hopline_wire::baggage::Baggage;
use hopline_wire::carrier::{BadCarrier, CarrierRef};
use hopline_wire::span::Link;
use hopline_wire::{SentryTrace, SpanId, TraceId, w3c};

use crate::ids;
use crate::sampling::Sampler;

/// Where a trace stands: the next hop's parent, and what travels along.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that the next hop's span is a child of.
    pub span_id: SpanId,
    /// Whether the trace is recorded; none while undecided.
    pub sampled: Option<bool>,
    /// The baggage, Sentry's sampling context in it. Frozen once received.
    pub baggage: Baggage,
    /// `tracestate` as it came.
    pub trace_state: Option<Arc<str>>,
}

/// What the head of a new trace says of itself in the sampling context.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The public key of the DSN that spans are sent to, if there is one.
    pub public_key: Option<String>,
    /// The organisation at Sentry, if there is one.
    pub org_id: Option<String>,
    /// The release of what runs.
    pub release: Option<String>,
    /// The environment it runs in.
    pub environment: Option<String>,
}

impl TraceContext {
    /// A new, decided trace whose head span is named `transaction`. Baggage entries of other vendors in
    /// `caller` are passed on.
    #[must_use]
    pub fn new_trace(
        sampler: &Sampler,
        head: &Head,
        transaction: &str,
        caller: Option<&Self>,
    ) -> Self {
        let trace_id = ids::new_trace_id();
        let mut sampling = sampler.decide_new();
        let sampled = sampling.sampled;
        sampling.trace_id = Some(trace_id);
        sampling.public_key.clone_from(&head.public_key);
        sampling.org_id.clone_from(&head.org_id);
        sampling.release.clone_from(&head.release);
        sampling.environment.clone_from(&head.environment);
        sampling.transaction = Some(transaction.to_owned());
        Self {
            trace_id,
            span_id: ids::new_span_id(),
            sampled,
            baggage: Baggage::of_head(sampling, caller.map(|caller| &caller.baggage)),
            trace_state: None,
        }
    }

    /// Reads the trace headers of a request or a frame's handshake; none if there are none. `header` gives the values
    /// of all lines of this name: `baggage` and `tracestate` may come in several, which are one list.
    ///
    /// # Errors
    /// [`BadCarrier`] if the headers are there and malformed.
    pub fn from_headers<'h, L: IntoIterator<Item = &'h str>>(
        header: impl Fn(&str) -> L,
    ) -> Result<Option<Self>, BadCarrier> {
        let list = |name| {
            let lines = header(name).into_iter().map(str::trim);
            let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
            (!lines.is_empty()).then(|| lines.join(","))
        };
        let baggage =
            || list("baggage").map_or_else(Baggage::default, |all| Baggage::received(&all));
        let trace_state = || list("tracestate").map(Arc::from);
        let first = |name| header(name).into_iter().next();
        if let Some(value) = first("sentry-trace") {
            let trace: SentryTrace = value.parse()?;
            return Ok(Some(Self::at(trace, baggage(), trace_state())));
        }
        let Some(value) = first("traceparent") else {
            return Ok(None);
        };
        let trace = w3c::read_traceparent(value).ok_or(BadCarrier::Trace)?;
        Ok(Some(Self::at(trace, baggage(), trace_state())))
    }

    /// Reads a message's `_sentry` field. `cache` spares reading the same baggage again for every event
    /// of a command.
    ///
    /// # Errors
    /// [`BadCarrier`] if it is malformed.
    pub fn from_carrier(
        carrier: &CarrierRef<'_>,
        cache: &mut BaggageCache,
    ) -> Result<Self, BadCarrier> {
        let trace = carrier.trace.parse()?;
        let baggage = carrier
            .baggage
            .as_deref()
            .map(|value| cache.read(value))
            .unwrap_or_default();
        Ok(Self::at(trace, baggage, None))
    }

    fn at(trace: SentryTrace, baggage: Baggage, trace_state: Option<Arc<str>>) -> Self {
        let SentryTrace {
            trace_id,
            span_id,
            sampled,
        } = trace;
        Self {
            trace_id,
            span_id,
            sampled,
            baggage,
            trace_state,
        }
    }

    /// The same trace with another span as the next hop's parent.
    #[must_use]
    pub fn child(&self, span_id: SpanId) -> Self {
        Self {
            span_id,
            ..self.clone()
        }
    }

    /// The same trace, decided if it was not: by the first hop that records.
    #[must_use]
    pub fn decided(mut self, sampler: &Sampler) -> Self {
        self.sampled
            .get_or_insert_with(|| sampler.decide_received(self.trace_id, self.baggage.sampling()));
        self
    }

    /// Whether hops make spans of this trace.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.sampled == Some(true)
    }

    /// The `sentry-trace` value.
    #[must_use]
    pub fn sentry_trace(&self) -> SentryTrace {
        SentryTrace {
            trace_id: self.trace_id,
            span_id: self.span_id,
            sampled: self.sampled,
        }
    }

    /// Writes the value of a `_sentry` field.
    pub fn write_carrier(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"trace\":\"");
        self.sentry_trace().write(out);
        out.push(b'"');
        if let Some(baggage) = self.baggage.as_str() {
            out.extend_from_slice(b",\"baggage\":");
            hopline_wire::event::write_string(baggage, out);
        }
        out.push(b'}');
    }

    /// The headers to send: names and values. What no header can hold (a line break in a baggage that came inside
    /// a message) is left out: a request that cannot be sent would be worse.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let trace = self.sentry_trace();
        let mut headers = vec![
            ("sentry-trace", trace.to_string()),
            ("traceparent", w3c::write_traceparent(&trace)),
        ];
        headers.extend(
            self.baggage
                .as_str()
                .map(|value| ("baggage", value.to_owned())),
        );
        headers.extend(
            self.trace_state
                .as_deref()
                .map(|value| ("tracestate", value.to_owned())),
        );
        headers.retain(|(_, value)| fits_header(value));
        headers
    }

    /// The environment variables that let a child process join the trace (OpenTelemetry's
    /// "Environment Variables as Context Propagation Carriers", and Sentry's). As in [`Self::headers`], what a header
    /// could not hold is left out: a child that cannot be started would be worse.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let variable = |(name, value): (&'static str, String)| match name {
            "sentry-trace" => ("SENTRY_TRACE", value),
            "traceparent" => ("TRACEPARENT", value),
            "tracestate" => ("TRACESTATE", value),
            _ => ("BAGGAGE", value),
        };
        let mut variables: Vec<_> = self.headers().into_iter().map(variable).collect();
        let baggage = self.baggage.as_str().filter(|value| fits_header(value));
        variables.extend(baggage.map(|value| ("SENTRY_BAGGAGE", value.to_owned())));
        variables
    }

    /// A link to where this trace stands.
    #[must_use]
    pub fn link(&self) -> Link {
        Link {
            trace_id: self.trace_id,
            span_id: self.span_id,
            attributes: Vec::new(),
        }
    }
}

/// Whether a header can have this value (RFC 9110, section 5.5): no control characters but the tab.
fn fits_header(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Remembers the last baggage read: within one command it is always the same.
#[derive(Debug, Default)]
pub struct BaggageCache {
    last: Option<(Box<str>, Baggage)>,
}

impl BaggageCache {
    /// Reads a `baggage` value.
    pub fn read(&mut self, value: &str) -> Baggage {
        if let Some((text, baggage)) = &self.last
            && **text == *value
        {
            return baggage.clone();
        }
        let baggage = Baggage::received(value);
        self.last = Some((value.into(), baggage.clone()));
        baggage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const TRACE: &str = "771a43a4192642f0b136d5159a501700-b7ad6b7169203331-1";

    fn from(headers: &[(&str, &str)]) -> Result<Option<TraceContext>, BadCarrier> {
        let headers: HashMap<_, _> = headers.iter().copied().collect();
        TraceContext::from_headers(|name| headers.get(name).copied())
    }

    #[test]
    fn headers_out_read_as_the_same_context() {
        let sampler = Sampler::new(1.0);
        let head = Head {
            environment: Some("test".into()),
            ..Head::default()
        };
        let context = TraceContext::new_trace(&sampler, &head, "POST /x", None);
        let headers = context.headers();
        let back = TraceContext::from_headers(|name| {
            headers
                .iter()
                .find(|(header, _)| *header == name)
                .map(|(_, value)| value.as_str())
        });
        let back = back.unwrap().unwrap();
        assert_eq!(back, context);
        let sampling = back.baggage.sampling().unwrap();
        assert_eq!(sampling.trace_id, Some(context.trace_id));
        assert_eq!(sampling.transaction.as_deref(), Some("POST /x"));
    }

    #[test]
    fn sentry_trace_wins_over_traceparent_which_serves_where_it_is_missing() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let both = from(&[("sentry-trace", TRACE), ("traceparent", parent)])
            .unwrap()
            .unwrap();
        assert_eq!(both.sentry_trace().to_string(), TRACE);
        let one = from(&[("traceparent", parent), ("tracestate", "a=1")])
            .unwrap()
            .unwrap();
        assert_eq!(
            (one.sampled, one.trace_state.as_deref()),
            (Some(false), Some("a=1"))
        );
        assert_eq!(from(&[]), Ok(None));
        assert_eq!(
            from(&[("sentry-trace", "nonsense")]),
            Err(BadCarrier::Trace)
        );
    }

    #[test]
    fn a_list_that_comes_in_several_lines_is_read_whole_and_in_order() {
        let context = TraceContext::from_headers(|name| match name {
            "sentry-trace" => vec![TRACE],
            "baggage" => vec!["vendor=1", " ", "sentry-sampled=true, other=2"],
            "tracestate" => vec!["a=1", "b=2"],
            _ => Vec::new(),
        });
        let context = context.unwrap().unwrap();
        assert_eq!(
            context.baggage.as_str(),
            Some("vendor=1,sentry-sampled=true, other=2")
        );
        assert_eq!(context.baggage.sampling().unwrap().sampled, Some(true));
        assert_eq!(context.trace_state.as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn a_received_context_is_passed_on_unchanged_but_for_the_span() {
        let value = "vendor=1,sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-sampled=true";
        let received = from(&[("sentry-trace", TRACE), ("baggage", value)])
            .unwrap()
            .unwrap();
        let next = received.child(ids::new_span_id());
        let mut json = Vec::new();
        next.write_carrier(&mut json);
        let json = String::from_utf8(json).unwrap();
        assert_eq!(
            json,
            format!(
                "{{\"trace\":\"{}\",\"baggage\":\"{value}\"}}",
                next.sentry_trace()
            )
        );
        let read: &serde_json::value::RawValue = serde_json::from_str(&json).unwrap();
        let mut cache = BaggageCache::default();
        for _ in 0..2 {
            let back =
                TraceContext::from_carrier(&CarrierRef::read(read).unwrap(), &mut cache).unwrap();
            assert_eq!(back, next);
        }
    }

    #[test]
    fn a_baggage_that_no_header_can_hold_stays_out_of_the_headers() {
        let json = format!("{{\"trace\":\"{TRACE}\",\"baggage\":\"a=1\\nb=2\"}}");
        let raw: &serde_json::value::RawValue = serde_json::from_str(&json).unwrap();
        let carrier = CarrierRef::read(raw).unwrap();
        let context = TraceContext::from_carrier(&carrier, &mut BaggageCache::default()).unwrap();
        let names: Vec<_> = context.headers().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["sentry-trace", "traceparent"]);
    }

    #[test]
    fn an_undecided_trace_is_decided_once() {
        let undecided = from(&[("sentry-trace", &TRACE[..49])]).unwrap().unwrap();
        assert_eq!(undecided.sampled, None);
        assert!(undecided.clone().decided(&Sampler::new(1.0)).is_recorded());
        assert_eq!(undecided.decided(&Sampler::new(0.0)).sampled, Some(false));
    }

    #[test]
    fn a_child_process_gets_every_variable_it_may_look_for() {
        let context = TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "x", None);
        let names: Vec<_> = context
            .environment()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            ["SENTRY_TRACE", "TRACEPARENT", "BAGGAGE", "SENTRY_BAGGAGE"]
        );
    }

    #[test]
    fn no_variable_holds_what_keeps_a_child_from_starting() {
        for bad in ["a=1\0,b=2", "a=1\n", "\u{7f}=1", "a=\u{1b}[31m"] {
            let context = TraceContext {
                baggage: Baggage::received(&format!("{bad},c=3")),
                trace_state: Some(bad.into()),
                ..from(&[("sentry-trace", TRACE)]).unwrap().unwrap()
            };
            let variables = context.environment();
            let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["SENTRY_TRACE", "TRACEPARENT"], "{bad:?}");
        }
    }
}
