//! How much memory a span takes, told from its record where that is near enough.

use hopline_wire::SpanId;
use hopline_wire::span::{Attribute, Link, Links, Resource, Span, SpanEvent, Value};

/// Records up to this length are not made into spans to find out.
const LIGHT: usize = 256;

/// A short record's bytes become about so many times as many: an attribute of 4 is one of 48.
const USUAL: usize = 12;

/// And no record's become more: an attribute has at least 2.
const MOST: usize = 24;

/// A resource has a few names, in less than this.
const HEAVY: usize = 4 << 10;

const SPAN: usize = size_of::<Span>();

/// The most bytes that a span takes whose record goes on for so many after its fixed fields.
pub(super) const fn at_most(record: usize) -> usize {
    SPAN + record.saturating_mul(MOST)
}

/// About how many it takes; none if its record is too long to tell.
pub(super) fn of_light(record: usize) -> Option<usize> {
    (record <= LIGHT).then_some(SPAN + record * USUAL)
}

/// The bytes of a span, but for its name and description.
pub(super) fn of(span: &Span) -> usize {
    let events = span.events.iter();
    let links = match &span.links {
        Links::None => 0,
        Links::SameTrace(ids) => ids.len() * size_of::<SpanId>(),
        Links::Any(links) => {
            let of = |link: &Link| size_of::<Link>() + of_attributes(&link.attributes);
            links.iter().map(of).sum()
        }
    };
    let of_event = |event: &SpanEvent| {
        size_of::<SpanEvent>() + event.name.len() + of_attributes(&event.attributes)
    };
    SPAN + of_attributes(&span.attributes)
        + events.map(of_event).sum::<usize>()
        + links
        + span.trace_state.len()
}

/// What a resource takes, if that is much. Spans of a frame share theirs, but may each be the only one that is read of it.
pub(super) fn of_heavy(resource: &Resource) -> usize {
    let bytes = of_attributes(&resource.attributes);
    if bytes > HEAVY { bytes } else { 0 }
}

fn of_attributes(attributes: &[Attribute]) -> usize {
    let of = |attribute: &Attribute| attribute.key.len() + of_value(&attribute.value);
    size_of_val(attributes) + attributes.iter().map(of).sum::<usize>()
}

/// What a value takes beside itself.
fn of_value(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(values) => size_of_val(&**values) + values.iter().map(of_value).sum::<usize>(),
        Value::Map(map) => of_attributes(map),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Empty => 0,
    }
}
