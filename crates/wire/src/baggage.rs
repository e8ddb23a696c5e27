//! W3C baggage, and the dynamic sampling context that Sentry keeps in it.
//!
//! A received baggage is passed on as it came, byte for byte, unless it is over the limits of the W3C
//! specification (8,192 bytes, 64 entries); then Sentry's own entries are kept first and the rest as far as
//! it fits. Only the head of a trace writes a sampling context; everyone else's is frozen.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::ids::TraceId;
use crate::limits::{MAX_BAGGAGE_BYTES, MAX_BAGGAGE_ENTRIES};

const SENTRY_PREFIX: &str = "sentry-";

/// A baggage within the limits, cheap to clone, with the sampling context read out of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baggage {
    text: Option<Arc<str>>,
    sampling: Option<Arc<SamplingContext>>,
}

/// Sentry's dynamic sampling context (DSC): what the trace's head decided, and about what.
///
/// Invariant of a context that Hopline wrote: `sample_rand < sample_rate` exactly when `sampled`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SamplingContext {
    /// The trace that the context is about.
    pub trace_id: Option<TraceId>,
    /// The public key of the head's DSN.
    pub public_key: Option<String>,
    /// The rate the head sampled with, from 0 to 1.
    pub sample_rate: Option<f64>,
    /// The random number the decision was made by, at least 0 and below 1.
    pub sample_rand: Option<f64>,
    /// The decision.
    pub sampled: Option<bool>,
    /// The head's release.
    pub release: Option<String>,
    /// The head's environment.
    pub environment: Option<String>,
    /// The name of the head's span.
    pub transaction: Option<String>,
    /// The organisation at Sentry.
    pub org_id: Option<String>,
}

impl Baggage {
    /// Takes a received `baggage` value. Entries that make no sense to us are still passed on.
    #[must_use]
    pub fn received(value: &str) -> Self {
        let value = value.trim();
        if value.is_empty() {
            return Self::default();
        }
        let sampling = SamplingContext::read(value).map(Arc::new);
        let within =
            value.len() <= MAX_BAGGAGE_BYTES && value.split(',').count() <= MAX_BAGGAGE_ENTRIES;
        let text: Arc<str> = if within {
            Arc::from(value)
        } else {
            Arc::from(trimmed(value))
        };
        // One entry over the limit leaves nothing, and nothing is not the same as an empty header.
        Self {
            text: (!text.is_empty()).then_some(text),
            sampling,
        }
    }

    /// The baggage of a new trace: `context`, and behind it the entries of other vendors in `others`.
    #[must_use]
    pub fn of_head(context: SamplingContext, others: Option<&Self>) -> Self {
        let mut value = context.write();
        let foreign = others.and_then(Self::as_str).unwrap_or_default();
        for entry in foreign
            .split(',')
            .filter(|entry| !entry.trim().is_empty() && !is_sentrys(entry))
        {
            value.push(',');
            value.push_str(entry.trim());
        }
        if value.len() > MAX_BAGGAGE_BYTES || value.split(',').count() > MAX_BAGGAGE_ENTRIES {
            value = trimmed(&value);
        }
        Self {
            text: Some(Arc::from(value)),
            sampling: Some(Arc::new(context)),
        }
    }

    /// The value to pass on; none if there is nothing to pass on.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The sampling context, if Sentry's entries are among the baggage.
    #[must_use]
    pub fn sampling(&self) -> Option<&SamplingContext> {
        self.sampling.as_deref()
    }
}

impl SamplingContext {
    /// Reads Sentry's entries out of a baggage value; none if there are none. An entry whose value has
    /// the wrong form is left out.
    fn read(value: &str) -> Option<Self> {
        let mut context = Self::default();
        let mut any = false;
        for entry in value.split(',') {
            let Some((key, value)) = entry.split_once('=') else {
                continue;
            };
            let Some(key) = key.trim().strip_prefix(SENTRY_PREFIX) else {
                continue;
            };
            any = true;
            let value = percent_decode(value.split(';').next().unwrap_or_default().trim());
            let number = |low_to_high: std::ops::RangeInclusive<f64>| {
                value
                    .parse()
                    .ok()
                    .filter(|number| low_to_high.contains(number))
            };
            match key {
                "trace_id" => context.trace_id = value.parse().ok(),
                "public_key" => context.public_key = Some(value),
                "sample_rate" => context.sample_rate = number(0.0..=1.0),
                "sample_rand" => context.sample_rand = number(0.0..=1.0).filter(|rand| *rand < 1.0),
                "sampled" => context.sampled = value.parse().ok(),
                "release" => context.release = Some(value),
                "environment" => context.environment = Some(value),
                "transaction" => context.transaction = Some(value),
                "org_id" => context.org_id = Some(value),
                _ => {}
            }
        }
        any.then_some(context)
    }

    /// The context as baggage entries.
    fn write(&self) -> String {
        let mut out = String::new();
        let mut entry = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                let comma = if out.is_empty() { "" } else { "," };
                // Writing to a String cannot fail.
                let _ = write!(out, "{comma}{SENTRY_PREFIX}{key}=");
                percent_encode(value, &mut out);
            }
        };
        entry(
            "trace_id",
            self.trace_id.map(|id| id.to_string()).as_deref(),
        );
        entry("public_key", self.public_key.as_deref());
        entry(
            "sample_rate",
            self.sample_rate.map(|rate| rate.to_string()).as_deref(),
        );
        entry(
            "sample_rand",
            self.sample_rand.map(|rand| format!("{rand:.6}")).as_deref(),
        );
        entry(
            "sampled",
            self.sampled
                .map(|sampled| if sampled { "true" } else { "false" }),
        );
        entry("release", self.release.as_deref());
        entry("environment", self.environment.as_deref());
        entry("transaction", self.transaction.as_deref());
        entry("org_id", self.org_id.as_deref());
        out
    }
}

fn is_sentrys(entry: &str) -> bool {
    entry.trim_start().starts_with(SENTRY_PREFIX)
}

/// As many entries of `value` as the limits allow, Sentry's first, each group in its order.
fn trimmed(value: &str) -> String {
    let entries = || {
        value
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
    };
    let mut out = String::new();
    let mut count = 0;
    let sentrys = entries().filter(|entry| is_sentrys(entry));
    for entry in sentrys.chain(entries().filter(|entry| !is_sentrys(entry))) {
        let comma = usize::from(count > 0);
        if count == MAX_BAGGAGE_ENTRIES || out.len() + comma + entry.len() > MAX_BAGGAGE_BYTES {
            continue;
        }
        if count > 0 {
            out.push(',');
        }
        out.push_str(entry);
        count += 1;
    }
    out
}

/// Encodes every byte but the unreserved ones of RFC 3986, as Sentry's SDKs do.
fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Decodes `%XX`; a percent sign without two digits stands for itself.
fn percent_decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let code = digits
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        (rest, _) = match code {
            Some(code) => (&tail[2..], bytes.push(code)),
            None => (tail, bytes.push(*first)),
        };
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "sentry-environment=production,sentry-release=1.0.0%2Bb,sentry-public_key=abc,\
        sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-sample_rate=0.25,sentry-sample_rand=0.121212,sentry-sampled=true";

    #[test]
    fn a_received_context_is_read_and_passed_on_to_the_byte() {
        let value = format!("other=1;p=2 , {NODES}");
        let baggage = Baggage::received(&value);
        assert_eq!(baggage.as_str(), Some(value.as_str()));
        let context = baggage.sampling().unwrap();
        assert_eq!(context.release.as_deref(), Some("1.0.0+b"));
        assert_eq!(
            (context.sample_rate, context.sample_rand, context.sampled),
            (Some(0.25), Some(0.121_212), Some(true))
        );
        assert_eq!(
            context.trace_id,
            "771a43a4192642f0b136d5159a501700".parse().ok()
        );
    }

    #[test]
    fn two_hundred_entries_are_cut_to_the_limit_with_sentrys_kept() {
        let mut value: String = (0..200).fold(String::new(), |all, n| format!("{all}k{n}=v{n},"));
        value.push_str(NODES);
        let baggage = Baggage::received(&value);
        let passed_on = baggage.as_str().unwrap();
        assert_eq!(passed_on.split(',').count(), MAX_BAGGAGE_ENTRIES);
        assert!(passed_on.starts_with("sentry-environment=production"));
        assert_eq!(baggage.sampling().unwrap().sampled, Some(true));
    }

    #[test]
    fn an_entry_over_the_byte_limit_is_left_out_and_the_others_stay() {
        let value = format!("big={},{NODES},small=1", "x".repeat(MAX_BAGGAGE_BYTES));
        let passed_on = Baggage::received(&value);
        assert_eq!(
            passed_on.as_str(),
            Some(format!("{NODES},small=1").as_str())
        );
    }

    #[test]
    fn a_new_trace_replaces_sentrys_entries_and_keeps_the_others() {
        let context = SamplingContext {
            trace_id: "00000000000000000000000000000001".parse().ok(),
            sample_rate: Some(1.0),
            sample_rand: Some(0.5),
            sampled: Some(true),
            transaction: Some("POST /api/projects/{id}/build".into()),
            ..Default::default()
        };
        let caller = Baggage::received(&format!("vendor=x,{NODES}"));
        let baggage = Baggage::of_head(context.clone(), Some(&caller));
        assert_eq!(
            baggage.as_str(),
            Some(
                "sentry-trace_id=00000000000000000000000000000001,sentry-sample_rate=1,sentry-sample_rand=0.500000,\
                 sentry-sampled=true,sentry-transaction=POST%20%2Fapi%2Fprojects%2F%7Bid%7D%2Fbuild,vendor=x"
            )
        );
        assert_eq!(
            Baggage::received(baggage.as_str().unwrap()).sampling(),
            Some(&context)
        );
    }

    #[test]
    fn odd_percent_signs_and_values_out_of_range_do_no_harm() {
        let baggage = Baggage::received(
            "sentry-release=100%,sentry-sample_rand=1,sentry-sample_rate=-3,sentry-sampled=maybe",
        );
        let context = baggage.sampling().unwrap();
        assert_eq!(context.release.as_deref(), Some("100%"));
        assert_eq!(
            (context.sample_rand, context.sample_rate, context.sampled),
            (None, None, None)
        );
    }
}
