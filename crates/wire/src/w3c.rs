//! The `traceparent` header of W3C Trace Context (Level 1, section 3.2), read when no `sentry-trace`
//! came and written beside it. `tracestate` is passed on as it came.

use crate::carrier::SentryTrace;

/// Reads a `traceparent` value; none if it is malformed, which starts a new trace.
///
/// Unlike `sentry-trace`, its sampled flag cannot be absent.
#[must_use]
pub fn read_traceparent(value: &str) -> Option<SentryTrace> {
    let value = value.trim();
    let mut fields = value.split('-');
    let version = fields.next()?;
    let hex_byte = |text: &str| {
        let plain = text.len() == 2
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        plain.then(|| u8::from_str_radix(text, 16).ok()).flatten()
    };
    let version = hex_byte(version).filter(|version| *version != 0xff)?;
    let trace_id = fields.next()?.parse().ok()?;
    let span_id = fields.next()?.parse().ok()?;
    let flags = hex_byte(fields.next()?)?;
    // Version 00 has these four fields; later versions may append more.
    if version == 0 && fields.next().is_some() {
        return None;
    }
    Some(SentryTrace {
        trace_id,
        span_id,
        sampled: Some(flags & 1 == 1),
    })
}

/// The `traceparent` value for `trace`; an undecided trace is written as not sampled, since the
/// format has no third state.
#[must_use]
pub fn write_traceparent(trace: &SentryTrace) -> String {
    format!(
        "00-{}-{}-{:02x}",
        trace.trace_id,
        trace.span_id,
        u8::from(trace.sampled == Some(true))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_a_round_trip() {
        let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = read_traceparent(value).unwrap();
        assert_eq!(trace.sampled, Some(true));
        assert_eq!(write_traceparent(&trace), value);
    }

    #[test]
    fn malformed_values_are_refused_and_later_versions_understood() {
        for value in [
            "",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read_traceparent(value), None, "{value:?}");
        }
        assert!(
            read_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-later")
                .is_some()
        );
    }
}
