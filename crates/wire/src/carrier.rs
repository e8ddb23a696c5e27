//! The trace carrier: the `_sentry` field of a command or event, and the values inside it.
//!
//! `trace` has the form of Sentry's `sentry-trace` header, `baggage` that of the W3C header of that
//! name (Sentry SDK specification, "Traces"; see `docs/wire.md`). A carrier that cannot be read never
//! fails its message: the reader starts a new trace and counts it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{SpanId, TraceId};
use crate::text;

/// The `_sentry` field: two header values, not yet looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// A `sentry-trace` value: `<32 hex>-<16 hex>`, with `-0` or `-1` once the trace is decided.
    pub trace: String,
    /// A W3C baggage value; Sentry's own entries in it are the dynamic sampling context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
}

/// The `_sentry` field as it stands in received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierRef<'a> {
    /// See [`Carrier::trace`].
    pub trace: Cow<'a, str>,
    /// See [`Carrier::baggage`].
    pub baggage: Option<Cow<'a, str>>,
}

/// Why a carrier is ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCarrier {
    /// `_sentry` is no object with the texts `trace` and, if at all, `baggage`.
    #[error("expected an object with the texts trace and baggage")]
    Shape,
    /// `trace` is no `sentry-trace` value.
    #[error("expected <32 hex>-<16 hex> or <32 hex>-<16 hex>-<0|1>")]
    Trace,
}

impl<'a> CarrierRef<'a> {
    /// Reads a `_sentry` field.
    ///
    /// # Errors
    /// [`BadCarrier::Shape`] if it is no object of the right fields.
    pub fn read(raw: &'a RawValue) -> Result<Self, BadCarrier> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            trace: &'a RawValue,
            #[serde(borrow, default)]
            baggage: Option<&'a RawValue>,
        }
        let fields: Fields<'a> = serde_json::from_str(raw.get()).map_err(|_| BadCarrier::Shape)?;
        let trace = text::string(fields.trace).ok_or(BadCarrier::Shape)?;
        let baggage = match fields.baggage {
            None => None,
            Some(raw) => Some(text::string(raw).ok_or(BadCarrier::Shape)?),
        };
        Ok(Self { trace, baggage })
    }
}

/// A `sentry-trace` value: where a trace stands at the moment it is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentryTrace {
    /// The trace.
    pub trace_id: TraceId,
    /// The span of the hop that passed it on: the next hop's parent.
    pub span_id: SpanId,
    /// Whether the trace is recorded; none while the decision is left to a later hop.
    pub sampled: Option<bool>,
}

impl FromStr for SentryTrace {
    type Err = BadCarrier;

    fn from_str(value: &str) -> Result<Self, BadCarrier> {
        let mut fields = value.trim_matches([' ', '\t']).split('-');
        let mut next = || fields.next().ok_or(BadCarrier::Trace);
        let trace_id = next()?.parse().map_err(|_| BadCarrier::Trace)?;
        let span_id = next()?.parse().map_err(|_| BadCarrier::Trace)?;
        let sampled = match fields.next() {
            None | Some("") => None,
            Some("1") => Some(true),
            Some("0") => Some(false),
            Some(_) => return Err(BadCarrier::Trace),
        };
        match fields.next() {
            None => Ok(Self {
                trace_id,
                span_id,
                sampled,
            }),
            Some(_) => Err(BadCarrier::Trace),
        }
    }
}

impl SentryTrace {
    /// Writes the header value into `out`, without allocating.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.trace_id.write_hex(out);
        out.push(b'-');
        self.span_id.write_hex(out);
        match self.sampled {
            Some(true) => out.extend_from_slice(b"-1"),
            Some(false) => out.extend_from_slice(b"-0"),
            None => {}
        }
    }
}

impl fmt::Display for SentryTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.trace_id, self.span_id)?;
        match self.sampled {
            Some(sampled) => write!(f, "-{}", u8::from(sampled)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = "771a43a4192642f0b136d5159a501700-b7ad6b7169203331";

    #[test]
    fn every_form_of_the_header_survives_a_round_trip() {
        for (suffix, sampled) in [("", None), ("-0", Some(false)), ("-1", Some(true))] {
            let value = format!("{IDS}{suffix}");
            let trace: SentryTrace = value.parse().unwrap();
            assert_eq!(trace.sampled, sampled);
            assert_eq!(trace.to_string(), value);
            let mut written = Vec::new();
            trace.write(&mut written);
            assert_eq!(written, value.as_bytes());
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for value in [
            "",
            "-",
            "771a43a4192642f0b136d5159a501700",
            "x-y-1",
            &format!("{IDS}-2"),
            &format!("{IDS}-1-1"),
        ] {
            assert_eq!(
                value.parse::<SentryTrace>(),
                Err(BadCarrier::Trace),
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_carrier_of_the_wrong_shape_is_told_from_a_right_one() {
        let read = |json: &'static str| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            CarrierRef::read(raw)
        };
        assert_eq!(read("5"), Err(BadCarrier::Shape));
        assert_eq!(read(r#"{"trace":5}"#), Err(BadCarrier::Shape));
        assert_eq!(
            read(r#"{"trace":"a","baggage":[]}"#),
            Err(BadCarrier::Shape)
        );
        let carrier = read(r#"{"trace":"a","baggage":"b","later":1}"#).unwrap();
        assert_eq!(
            (carrier.trace.as_ref(), carrier.baggage.as_deref()),
            ("a", Some("b"))
        );
    }
}
