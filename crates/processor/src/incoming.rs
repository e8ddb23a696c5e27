//! An event as it comes in: its bytes, and the head read out of them once for everyone who needs it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::TraceContext;
use hopline_telemetry::contract::event_type_text;
use hopline_wire::Timestamp;
use hopline_wire::carrier::{BadCarrier, CarrierRef};
use hopline_wire::event::{BadEvent, EventHead, EventType};
use hopline_wire::span::Text;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Reads events. Identifiers that repeat from one event to the next are shared instead of copied, so use one
/// reader for a whole request.
#[derive(Debug, Default)]
pub struct Reader {
    command: Repeated,
    project: Repeated,
    runner: Repeated,
    link: Repeated,
}

/// The last value of a field.
#[derive(Debug, Default)]
struct Repeated(Option<Arc<str>>);

impl Repeated {
    fn share(&mut self, text: Option<&str>) -> Option<Arc<str>> {
        let text = text?;
        match &self.0 {
            Some(last) if **last == *text => Some(Arc::clone(last)),
            _ => {
                let shared = Arc::from(text);
                self.0 = Some(Arc::clone(&shared));
                Some(shared)
            }
        }
    }
}

/// One received event.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// When it was received, by the server's clock.
    pub received: Timestamp,
    /// Where its trace stands, the server's own span being the next hop's parent; as it came if the trace is
    /// not recorded. None if the event takes no part in one.
    pub trace: Option<TraceContext>,
    /// Its place in its request.
    pub(crate) place: usize,
    bytes: Bytes,
    kind: Text,
    event_type: Option<EventType>,
    command_id: Option<Arc<str>>,
    project_id: Option<Arc<str>>,
    runner_id: Option<Arc<str>>,
    bound: bool,
    timestamp: Option<Timestamp>,
    seq: Option<u64>,
    link: Option<(Arc<str>, Option<u64>)>,
    carrier: Option<Range<usize>>,
    data: Option<Range<usize>>,
    problem: Option<Problem>,
}

/// Why the event's head cannot be taken as it is.
#[derive(Debug, Clone)]
struct Problem {
    expected: String,
    /// The event has a `seq` that is no sequence number, so nobody can say where it belongs.
    has_no_place: bool,
}

impl Reader {
    /// Reads an event's head. Never fails: an event that is wrong is refused when its turn comes, so that it
    /// uses up its place and blocks nobody.
    pub fn read(&mut self, bytes: Bytes, received: Timestamp) -> Incoming {
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let base = text.as_ptr() as usize;
        let range = |raw: &RawValue| {
            let start = raw.get().as_ptr() as usize - base;
            start..start + raw.get().len()
        };
        let mut incoming = match EventHead::read(text) {
            Ok(head) => Incoming {
                carrier: head.carrier.map(range),
                data: head.data.map(range),
                timestamp: head.timestamp.and_then(|text| text.parse().ok()),
                runner_id: self.runner.share(head.runner_id.as_deref()),
                bound: head.runner_bound,
                ..self.common(
                    &head.kind,
                    [&head.command_id, &head.project_id, &head.link].map(Option::as_deref),
                    [head.seq, head.link_seq],
                    received,
                )
            },
            Err(bad) => self.read_bad(*bad, text, received),
        };
        incoming.bytes = bytes;
        incoming
    }

    fn read_bad(&mut self, bad: BadEvent, text: &str, received: Timestamp) -> Incoming {
        let has_no_place = bad.seq.is_none() && names_a_seq(text);
        let known = [&bad.command_id, &bad.project_id, &bad.link].map(Option::as_deref);
        let kind = bad.kind.unwrap_or_default();
        Incoming {
            carrier: bad.carrier,
            runner_id: self.runner.share(bad.runner_id.as_deref()),
            bound: bad.runner_bound,
            problem: Some(Problem {
                expected: bad.problem,
                has_no_place,
            }),
            ..self.common(&kind, known, [bad.seq, bad.link_seq], received)
        }
    }

    fn common(
        &mut self,
        kind: &str,
        [command_id, project_id, link]: [Option<&str>; 3],
        [seq, link_seq]: [Option<u64>; 2],
        received: Timestamp,
    ) -> Incoming {
        Incoming {
            received,
            trace: None,
            place: 0,
            bytes: Bytes::new(),
            kind: event_type_text(hopline_wire::text::prefix(kind, 128)),
            event_type: EventType::named(kind),
            command_id: self.command.share(command_id),
            project_id: self.project.share(project_id),
            runner_id: None,
            bound: false,
            timestamp: None,
            seq,
            link: self.link.share(link).map(|link| (link, link_seq)),
            carrier: None,
            data: None,
            problem: None,
        }
    }
}

/// Whether the event has a `seq`, whatever it is.
fn names_a_seq(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Seq<'a> {
        #[serde(borrow)]
        seq: Option<&'a RawValue>,
    }
    serde_json::from_str::<Seq<'_>>(text)
        .is_ok_and(|event| event.seq.is_some_and(|raw| raw.get() != "null"))
}

impl Incoming {
    /// The event's JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        // Only what parsed as JSON got here.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// How many bytes the event has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The event's type, cut to a sensible length; empty if it could not be read.
    #[must_use]
    pub const fn kind(&self) -> &Text {
        &self.kind
    }

    /// The event's type, if the format names it.
    #[must_use]
    pub const fn event_type(&self) -> Option<EventType> {
        self.event_type
    }

    /// The command that it answers.
    #[must_use]
    pub const fn command_id(&self) -> Option<&Arc<str>> {
        self.command_id.as_ref()
    }

    /// The project that it names.
    #[must_use]
    pub const fn project_id(&self) -> Option<&Arc<str>> {
        self.project_id.as_ref()
    }

    /// The runner that it came from, as the broker wrote it.
    #[must_use]
    pub const fn runner_id(&self) -> Option<&Arc<str>> {
        self.runner_id.as_ref()
    }

    /// Whether it came from a runner that may speak for its own commands alone.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound
    }

    /// Says that it came from this runner, whatever it says itself, and that the runner may speak for its own commands
    /// alone.
    pub fn bind(&mut self, runner_id: Arc<str>) {
        self.runner_id = Some(runner_id);
        self.bound = true;
    }

    /// Its sequence number; none from peers that number nothing.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// When it was made, by the runner's clock; when it was received, if it does not say.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        let at = self.timestamp.unwrap_or(self.received);
        Timestamp::from_millis(at.as_millis())
    }

    /// Its connection and its number there, where the broker wrote both.
    #[must_use]
    pub fn link(&self) -> Option<(&Arc<str>, u64)> {
        let (link, seq) = self.link.as_ref()?;
        Some((link, (*seq)?))
    }

    /// Why its head was not understood.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem
            .as_ref()
            .map(|problem| problem.expected.as_str())
    }

    /// Whether nobody can say where among its command's events it belongs.
    #[must_use]
    pub fn has_no_place(&self) -> bool {
        let lost = self
            .problem
            .as_ref()
            .is_some_and(|problem| problem.has_no_place);
        lost || self.command_id.is_none()
    }

    /// Its trace carrier, if it has one.
    #[must_use]
    pub fn carrier(&self) -> Option<Result<CarrierRef<'_>, BadCarrier>> {
        let json = &self.json()[self.carrier.clone()?];
        let raw: &RawValue = serde_json::from_str(json).ok()?;
        Some(CarrierRef::read(raw))
    }

    /// The `data` of a `build-stream` event: the text, or none if it is missing or no text.
    pub(crate) fn data(&self) -> Option<Cow<'_, str>> {
        let json = &self.json()[self.data.clone()?];
        let raw: &RawValue = serde_json::from_str(json).ok()?;
        hopline_wire::text::string(raw)
    }

    /// The event's JSON without its carrier, as two pieces.
    pub(crate) fn body(&self) -> [&str; 2] {
        let json = self.json();
        self.carrier
            .as_ref()
            .and_then(|carrier| without_member(json, carrier))
            .unwrap_or([json, ""])
    }
}

/// Cuts the member whose value stands at `value` out of an object: what is before it and what is after,
/// without its comma.
fn without_member<'a>(json: &'a str, value: &Range<usize>) -> Option<[&'a str; 2]> {
    let before = json[..value.start].trim_end().strip_suffix(':')?.trim_end();
    let key = before.strip_suffix('"')?;
    // The key's own opening quote: it holds none unescaped, and none of ours is escaped.
    let key_start = key.rfind('"')?;
    let before = before[..key_start].trim_end();
    let after = json[value.end..].trim_start();
    match after.strip_prefix(',') {
        Some(after) => Some([before, after.trim_start()]),
        None => Some([before.strip_suffix(',').unwrap_or(before), after]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Incoming {
        Reader::default().read(Bytes::copy_from_slice(json.as_bytes()), Timestamp::now())
    }

    #[test]
    fn the_body_is_the_text_received_without_its_carrier() {
        for (json, body) in [
            (r#"{"_sentry":{"trace":"a"},"type":"x"}"#, r#"{"type":"x"}"#),
            (
                r#"{"type":"x" , "_sentry" : {"trace":"a,\"}"} }"#,
                r#"{"type":"x" }"#,
            ),
            (
                r#"{"type":"x","_sentry":{},"odd": 1.0e2}"#,
                r#"{"type":"x","odd": 1.0e2}"#,
            ),
            (
                r#"{"type":"x","odd":{"_sentry":1}}"#,
                r#"{"type":"x","odd":{"_sentry":1}}"#,
            ),
            // Of an event that is refused, too.
            (
                r#"{"type":"x","projectId":5,"_sentry":{"trace":"a"}}"#,
                r#"{"type":"x","projectId":5}"#,
            ),
        ] {
            assert_eq!(read(json).body().concat(), body);
        }
    }

    #[test]
    fn an_event_without_a_usable_number_is_told_from_one_that_never_had_one() {
        let numbered = read(r#"{"type":"ack","commandId":"c","seq":"two"}"#);
        assert!(numbered.has_no_place());
        let legacy = read(r#"{"type":5,"commandId":"c","link":"l","linkSeq":3}"#);
        assert!(!legacy.has_no_place() && legacy.problem().is_some());
        assert_eq!(
            legacy.link().map(|(link, seq)| (&**link, seq)),
            Some(("l", 3))
        );
    }

    #[test]
    fn what_repeats_is_shared() {
        let mut reader = Reader::default();
        let event = Bytes::from_static(br#"{"type":"ack","commandId":"c","timestamp":"nonsense"}"#);
        let one = reader.read(event.clone(), Timestamp::from_millis(7));
        let two = reader.read(event, Timestamp::from_millis(8));
        assert!(Arc::ptr_eq(
            one.command_id().unwrap(),
            two.command_id().unwrap()
        ));
        assert_eq!(one.at(), Timestamp::from_millis(7));
    }
}
