//! How much memory spans take as columns, about: a text that the log has once for many spans is written out for each.

use hopline_wire::span::{Attribute, Links, Span, SpanStatus, Value};

/// What a row takes beside its texts: ids, times, numbers, and its places in the dictionaries.
const ROW: usize = 192;

/// What an entry of a list or a map takes beside its texts.
const ENTRY: usize = 16;

/// About how many bytes a span takes as a row, without its resource.
pub(crate) fn of_span(span: &Span) -> usize {
    let links = match &span.links {
        Links::None => 0,
        Links::SameTrace(ids) => ids.len() * ENTRY * 2,
        Links::Any(links) => links
            .iter()
            .map(|link| ENTRY * 4 + of_attributes(&link.attributes))
            .sum(),
    };
    let events = span
        .events
        .iter()
        .map(|event| ENTRY * 2 + event.name.len() + of_attributes(&event.attributes));
    let status = match &span.status {
        SpanStatus::Error(message) => message.len(),
        _ => 0,
    };
    let keys = span.event.as_ref().map_or(0, |keys| {
        let texts = [
            &keys.event_type,
            &keys.project_id,
            &keys.command_id,
            &keys.session_id,
        ];
        texts.map(|text| text.len()).iter().sum()
    });
    ROW + span.name.len()
        + span.op.len()
        + keys
        + span.trace_state.len()
        + status
        + of_attributes(&span.attributes)
        + links
        + events.sum::<usize>()
}

/// The same of attributes.
pub(crate) fn of_attributes(attributes: &[Attribute]) -> usize {
    let each = attributes
        .iter()
        .map(|one| ENTRY + one.key.len() + of_value(&one.value));
    each.sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        // Written as base64.
        Value::Bytes(bytes) => bytes.len().div_ceil(3) * 4,
        Value::List(values) => values.iter().map(|value| ENTRY + of_value(value)).sum(),
        Value::Map(entries) => of_attributes(entries),
        _ => ENTRY,
    }
}
