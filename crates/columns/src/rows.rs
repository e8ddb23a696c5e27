//! From spans to columns: rows are gathered one by one, then sorted by trace and time, each span once.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, Float64Builder, Int64Builder, ListBuilder, MapBuilder, MapFieldNames,
    StringBuilder, StringDictionaryBuilder, StructBuilder, TimestampNanosecondBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, Field};
use arrow_select::take::take_record_batch;
use hopline_wire::span::{Attribute, Links, Resource, Span, SpanStatus, Value};
use hopline_wire::{SpanId, Timestamp, TraceId};
use serde_json::value::RawValue;

use crate::schema::{
    DOUBLE_ATTRIBUTES, EVENT_KEYS, INT_ATTRIBUTES, SCHEMA, TEXT_ATTRIBUTES, entry_fields,
    event_fields, instant, link_fields,
};
use crate::{size, values};

/// A column of texts of which there are few.
type Few = StringDictionaryBuilder<Int32Type>;

/// Rows that are being gathered.
pub struct Rows {
    trace_id: Few,
    span_id: StringBuilder,
    parent_id: StringBuilder,
    name: Few,
    op: Few,
    kind: Few,
    status: Few,
    status_message: StringBuilder,
    service: Few,
    start: TimestampNanosecondBuilder,
    duration: Int64Builder,
    weight: Float64Builder,
    event_keys: [Few; EVENT_KEYS.len()],
    texts: [Few; TEXT_ATTRIBUTES.len()],
    event_seq: Int64Builder,
    ints: [Int64Builder; INT_ATTRIBUTES.len()],
    doubles: [Float64Builder; DOUBLE_ATTRIBUTES.len()],
    attributes: MapBuilder<StringBuilder, StringBuilder>,
    attribute_types: Few,
    links: ListBuilder<StructBuilder>,
    events: ListBuilder<StructBuilder>,
    resource: Few,
    trace_state: Few,
    order: Vec<Place>,
    bytes: usize,
    last_resource: Option<LastResource>,
    hex: Vec<u8>,
    value: String,
    types: String,
}

/// How much room rows take: what they were like before tells what the next will be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    rows: usize,
    attributes: usize,
    key_bytes: usize,
    value_bytes: usize,
}

impl Shape {
    /// The room that so many rows take, with a little to spare.
    pub(crate) fn of_rows(self, rows: usize) -> Self {
        let scaled = |all: usize| {
            let each = all as u64 * rows as u64 / self.rows.max(1) as u64;
            usize::try_from(each + each / 16).unwrap_or(0)
        };
        Self {
            rows,
            attributes: scaled(self.attributes),
            key_bytes: scaled(self.key_bytes),
            value_bytes: scaled(self.value_bytes),
        }
    }
}

/// Where a row goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    trace_id: TraceId,
    start: Timestamp,
    span_id: SpanId,
    row: u32,
}

/// The resource that was met last, as it is written: spans of one maker follow each other.
struct LastResource {
    resource: Arc<Resource>,
    written: String,
    service: String,
}

/// An attribute's own column.
enum Own {
    Text(usize),
    Int(usize),
    Double(usize),
}

impl Own {
    fn of(key: &str) -> Option<Self> {
        // Most keys are none of these, and end here.
        if !key.starts_with(['d', 'e', 'h', 'm']) {
            return None;
        }
        let at = |all: &[(&str, &str)]| all.iter().position(|(own, _)| *own == key);
        at(&TEXT_ATTRIBUTES)
            .map(Self::Text)
            .or_else(|| at(&INT_ATTRIBUTES).map(Self::Int))
            .or_else(|| at(&DOUBLE_ATTRIBUTES).map(Self::Double))
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::with_room(Shape::default())
    }
}

impl Rows {
    /// None, with room for some: columns that grow are copied again and again, and take twice what is in them.
    pub(crate) fn with_room(room: Shape) -> Self {
        let Shape {
            rows,
            attributes,
            key_bytes,
            value_bytes,
        } = room;
        let ids = || StringBuilder::with_capacity(rows, 16 * rows);
        let ints = || Int64Builder::with_capacity(rows);
        let doubles = || Float64Builder::with_capacity(rows);
        // Their keys have room; of their texts there are few.
        let few = || Few::with_capacity(rows, 0, 0);
        let entry = entry_fields();
        let names = MapFieldNames {
            entry: "key_value".into(),
            key: "key".into(),
            value: "value".into(),
        };
        let list = |fields: arrow_schema::Fields, builders| {
            let item = Field::new("item", arrow_schema::DataType::Struct(fields.clone()), true);
            ListBuilder::new(StructBuilder::new(fields, builders)).with_field(item)
        };
        let text = || Box::new(StringBuilder::new()) as Box<dyn ArrayBuilder>;
        let at = TimestampNanosecondBuilder::new().with_data_type(instant());
        Self {
            trace_id: few(),
            span_id: ids(),
            parent_id: ids(),
            name: few(),
            op: few(),
            kind: few(),
            status: few(),
            status_message: StringBuilder::new(),
            service: few(),
            start: TimestampNanosecondBuilder::with_capacity(rows).with_data_type(instant()),
            duration: ints(),
            weight: doubles(),
            event_keys: std::array::from_fn(|_| few()),
            texts: std::array::from_fn(|_| few()),
            event_seq: ints(),
            ints: std::array::from_fn(|_| ints()),
            doubles: std::array::from_fn(|_| doubles()),
            attributes: MapBuilder::with_capacity(
                Some(names),
                StringBuilder::with_capacity(attributes, key_bytes),
                StringBuilder::with_capacity(attributes, value_bytes),
                rows,
            )
            .with_keys_field(Arc::clone(&entry[0]))
            .with_values_field(Arc::clone(&entry[1])),
            attribute_types: few(),
            links: list(link_fields(), vec![text(), text(), text()]),
            events: list(event_fields(), vec![Box::new(at), text(), text()]),
            resource: few(),
            trace_state: few(),
            order: Vec::with_capacity(rows),
            bytes: 0,
            last_resource: None,
            hex: Vec::new(),
            value: String::new(),
            types: String::new(),
        }
    }

    /// How much room they take.
    pub(crate) fn shape(&mut self) -> Shape {
        let keys = self.attributes.keys();
        let (attributes, key_bytes) = (keys.len(), keys.values_slice().len());
        Shape {
            rows: self.order.len(),
            attributes,
            key_bytes,
            value_bytes: self.attributes.values().values_slice().len(),
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// About how many bytes of memory they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a span. One that is added again replaces the one before.
    pub fn push(&mut self, span: &Span) {
        self.bytes += size::of_span(span);
        self.order.push(Place {
            trace_id: span.trace_id,
            start: span.start,
            span_id: span.span_id,
            row: u32::try_from(self.order.len()).unwrap_or(u32::MAX),
        });
        let hex = &mut self.hex;
        hex.clear();
        span.trace_id.write_hex(hex);
        self.trace_id.append_value(digits(hex));
        hex.clear();
        span.span_id.write_hex(hex);
        self.span_id.append_value(digits(hex));
        hex.clear();
        if let Some(parent) = span.parent_id {
            parent.write_hex(hex);
        }
        self.parent_id
            .append_option(span.parent_id.map(|_| digits(hex)));
        match (span.name.stem, &*span.name.rest) {
            ("", name) | (name, "") => self.name.append_value(name),
            (stem, rest) => {
                self.value.clear();
                self.value.push_str(stem);
                self.value.push_str(rest);
                self.name.append_value(&self.value);
            }
        }
        self.op.append_option(there(&span.op));
        self.kind.append_option(span.kind.name());
        let (status, message) = match &span.status {
            SpanStatus::Unset => (None, None),
            SpanStatus::Ok => (Some("ok"), None),
            SpanStatus::Error(message) => (Some("error"), there(message)),
        };
        self.status.append_option(status);
        self.status_message.append_option(message);
        let start = span.start.as_nanos();
        // Times after 2262 have no place in the column's type, and wrap to those before 1970, which no span has.
        self.start.append_value(start.cast_signed());
        let duration = span.end.as_nanos().wrapping_sub(start);
        self.duration.append_value(duration.cast_signed());
        self.event(span);
        self.own_and_other_attributes(span);
        self.links(span);
        self.events(span);
        self.resource(&span.resource);
        self.trace_state.append_option(there(&span.trace_state));
    }

    fn event(&mut self, span: &Span) {
        let keys = span.event.as_ref();
        let texts = keys.map(|keys| {
            [
                &keys.event_type,
                &keys.project_id,
                &keys.command_id,
                &keys.session_id,
            ]
        });
        for (at, column) in self.event_keys.iter_mut().enumerate() {
            column.append_option(texts.and_then(|texts| there(texts[at])));
        }
        let seq = keys.map(|keys| keys.seq).filter(|seq| *seq > 0);
        self.event_seq.append_option(seq.map(u64::cast_signed));
    }

    fn own_and_other_attributes(&mut self, span: &Span) {
        let mut texts = [None; TEXT_ATTRIBUTES.len()];
        let mut ints = [None; INT_ATTRIBUTES.len()];
        let mut doubles = [None; DOUBLE_ATTRIBUTES.len()];
        self.types.clear();
        for Attribute { key, value } in &span.attributes {
            match (Own::of(key), value) {
                (Some(Own::Text(at)), Value::Text(text)) if texts[at].is_none() => {
                    texts[at] = Some(&**text);
                    continue;
                }
                (Some(Own::Int(at)), Value::Int(number)) if ints[at].is_none() => {
                    ints[at] = Some(*number);
                    continue;
                }
                (Some(Own::Double(at)), Value::Double(number)) if doubles[at].is_none() => {
                    doubles[at] = Some(*number);
                    continue;
                }
                _ => {}
            }
            self.types.push(values::write(value, &mut self.value));
            self.attributes.keys().append_value(&**key);
            self.attributes.values().append_value(&self.value);
        }
        for (column, text) in self.texts.iter_mut().zip(texts) {
            column.append_option(text);
        }
        for (column, number) in self.ints.iter_mut().zip(ints) {
            column.append_option(number);
        }
        for (column, number) in self.doubles.iter_mut().zip(doubles) {
            column.append_option(number);
        }
        let is_any = !self.types.is_empty();
        // Keys and values were added in pairs.
        let _ = self.attributes.append(is_any);
        self.attribute_types
            .append_option(is_any.then_some(&self.types));
        self.weight.append_value(weight(span));
    }

    fn links(&mut self, span: &Span) {
        let links = match &span.links {
            Links::None => {
                self.links.append_null();
                return;
            }
            Links::SameTrace(ids) => {
                for id in &**ids {
                    self.hex.clear();
                    id.write_hex(&mut self.hex);
                    link(self.links.values(), None, digits(&self.hex), None);
                }
                self.links.append(true);
                return;
            }
            Links::Any(links) => links,
        };
        for one in links {
            let attributes = values::write_all(&one.attributes);
            let trace_id = one.trace_id.to_string();
            let span_id = one.span_id.to_string();
            link(
                self.links.values(),
                Some(&trace_id),
                &span_id,
                attributes.as_deref(),
            );
        }
        self.links.append(true);
    }

    fn events(&mut self, span: &Span) {
        if span.events.is_empty() {
            self.events.append_null();
            return;
        }
        for event in &span.events {
            let one = self.events.values();
            if let Some(at) = one.field_builder::<TimestampNanosecondBuilder>(0) {
                at.append_value(event.at.as_nanos().cast_signed());
            }
            if let Some(name) = one.field_builder::<StringBuilder>(1) {
                name.append_value(&*event.name);
            }
            if let Some(attributes) = one.field_builder::<StringBuilder>(2) {
                attributes.append_option(values::write_all(&event.attributes));
            }
            one.append(true);
        }
        self.events.append(true);
    }

    fn resource(&mut self, resource: &Arc<Resource>) {
        let is_last = |last: &LastResource| Arc::ptr_eq(&last.resource, resource);
        if !self.last_resource.as_ref().is_some_and(is_last) {
            let last = LastResource {
                resource: Arc::clone(resource),
                written: write_resource(resource),
                service: resource.service().to_string(),
            };
            self.bytes += last.written.len() + last.service.len();
            self.last_resource = Some(last);
        }
        if let Some(last) = &self.last_resource {
            self.resource.append_value(&last.written);
            self.service.append_value(&last.service);
        }
    }

    /// The rows, sorted by trace, start and span, each span once.
    ///
    /// # Errors
    /// If the columns do not fit together, which would be a mistake here.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        let (batch, order) = self.unsorted()?;
        take_record_batch(&batch, &UInt32Array::from(order))
    }

    /// The same in batches of so many rows, each made when it is asked for: sorted rows take as much memory as those that
    /// they are taken from.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn into_batches(
        self,
        rows: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>>, ArrowError> {
        let (batch, order) = self.unsorted()?;
        let starts = (0..order.len()).step_by(rows.max(1));
        Ok(starts.map(move |start| {
            let end = (start + rows).min(order.len());
            let order = UInt32Array::from(order[start..end].to_vec());
            take_record_batch(&batch, &order)
        }))
    }

    /// The rows as they came, and their order.
    fn unsorted(mut self) -> Result<(RecordBatch, Vec<u32>), ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.parent_id.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.op.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.status_message.finish()),
            Arc::new(self.service.finish()),
            Arc::new(self.start.finish()),
            Arc::new(self.duration.finish()),
            Arc::new(self.weight.finish()),
        ];
        let texts = self.event_keys.iter_mut().chain(&mut self.texts);
        columns.extend(texts.map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.event_seq.finish()));
        let ints = self.ints.iter_mut();
        columns.extend(ints.map(|column| Arc::new(column.finish()) as ArrayRef));
        let doubles = self.doubles.iter_mut();
        columns.extend(doubles.map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend([
            Arc::new(self.attributes.finish()) as ArrayRef,
            Arc::new(self.attribute_types.finish()),
            Arc::new(self.links.finish()),
            Arc::new(self.events.finish()),
            Arc::new(self.resource.finish()),
            Arc::new(self.trace_state.finish()),
        ]);
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns)?;
        Ok((batch, each_once(self.order)))
    }
}

/// The rows in order; of those of one span the last.
fn each_once(mut places: Vec<Place>) -> Vec<u32> {
    places.sort_unstable_by_key(|place| (place.trace_id, place.span_id, Reverse(place.row)));
    places.dedup_by_key(|place| (place.trace_id, place.span_id));
    places.sort_unstable();
    places.into_iter().map(|place| place.row).collect()
}

fn link(
    links: &mut StructBuilder,
    trace_id: Option<&str>,
    span_id: &str,
    attributes: Option<&str>,
) {
    let texts = [trace_id, Some(span_id), attributes];
    for (at, text) in texts.into_iter().enumerate() {
        if let Some(column) = links.field_builder::<StringBuilder>(at) {
            column.append_option(text);
        }
    }
    links.append(true);
}

/// What was written as hexadecimal digits.
fn digits(hex: &[u8]) -> &str {
    std::str::from_utf8(hex).unwrap_or_default()
}

fn there(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// How many spans this one stands for: those of its kind that were not sampled, and its share of what several traces
/// show.
fn weight(span: &Span) -> f64 {
    let mut weight = match threshold(&span.trace_state) {
        Some(kept) => 1.0 / kept,
        None => 1.0,
    };
    for Attribute { key, value } in &span.attributes {
        match (&**key, value) {
            ("sentry.sample_rate", Value::Double(rate)) if *rate > 0.0 && *rate < 1.0 => {
                weight /= rate;
            }
            #[expect(clippy::cast_precision_loss, reason = "traces in one group commit")]
            ("hopline.shared_by", Value::Int(traces)) if *traces > 1 => {
                weight /= *traces as f64;
            }
            _ => {}
        }
    }
    weight
}

/// The share of traces that are kept, as OpenTelemetry's samplers write it into the trace state: `ot=th:8` (up to 14
/// hexadecimal digits, those at the end left out) are those that are not.
fn threshold(trace_state: &str) -> Option<f64> {
    let entries = trace_state
        .split(',')
        .find_map(|entry| entry.trim().strip_prefix("ot="))?;
    let digits = entries
        .split(';')
        .find_map(|entry| entry.strip_prefix("th:"))?;
    if digits.is_empty() || digits.len() > 14 {
        return None;
    }
    const ALL: u64 = 1 << 56;
    let dropped = u64::from_str_radix(digits, 16).ok()? << (4 * (14 - digits.len()));
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    Some((ALL - dropped) as f64 / ALL as f64)
}

/// Who made a span, in JSON.
fn write_resource(resource: &Resource) -> String {
    #[derive(serde::Serialize)]
    struct Written<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        attributes: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "str::is_empty")]
        scope: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        scope_version: &'a str,
    }
    let attributes = values::write_all(&resource.attributes);
    let written = Written {
        attributes: attributes.and_then(|text| RawValue::from_string(text).ok()),
        scope: &resource.scope_name,
        scope_version: &resource.scope_version,
    };
    // A struct of texts is always written.
    serde_json::to_string(&written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_of_a_sampler_is_a_share() {
        for (state, share) in [
            ("ot=th:8", Some(0.5)),
            ("vendor=x,ot=rv:1;th:c", Some(0.25)),
            ("ot=th:0", Some(1.0)),
            ("ot=th:ffffffffffffff", Some(1.0 / (1_u64 << 56) as f64)),
            ("ot=th:", None),
            ("ot=th:100000000000000", None),
            ("ot=rv:1", None),
            ("other=th:8", None),
        ] {
            assert_eq!(threshold(state), share, "{state}");
        }
    }
}
