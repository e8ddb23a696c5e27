//! From columns back to spans.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray, StructArray};
use hopline_wire::span::{
    Attribute, EventKeys, Link, Links, Resource, Span, SpanEvent, SpanKind, SpanName, SpanStatus,
    Text,
};
use hopline_wire::{Timestamp, TraceId};

use crate::schema::{DOUBLE_ATTRIBUTES, EVENT_KEYS, INT_ATTRIBUTES, TEXT_ATTRIBUTES, names};
use crate::values::{self, Interned};

/// Columns that are not those of spans.
#[derive(Debug, thiserror::Error)]
#[error("read spans from columns: {0}")]
pub struct BadColumns(String);

/// The spans of all rows, in their order.
///
/// # Errors
/// If the columns are not those of [`crate::schema::SCHEMA`].
pub fn spans_of(batch: &RecordBatch) -> Result<Vec<Span>, BadColumns> {
    let columns = Columns::of(batch)?;
    let mut shared = Shared::default();
    (0..batch.num_rows())
        .map(|row| columns.span(row, &mut shared))
        .collect()
}

/// A column of texts of which there are few, each made once.
struct Few<'a> {
    rows: &'a DictionaryArray<Int32Type>,
    values: Vec<Text>,
}

impl Few<'_> {
    fn get(&self, row: usize) -> Option<&Text> {
        self.values.get(self.rows.key(row)?)
    }

    fn text(&self, row: usize) -> Text {
        self.get(row).cloned().unwrap_or_default()
    }
}

struct Columns<'a> {
    trace_id: Few<'a>,
    span_id: &'a StringArray,
    parent_id: &'a StringArray,
    name: Few<'a>,
    op: Few<'a>,
    kind: Few<'a>,
    status: Few<'a>,
    status_message: &'a StringArray,
    start: &'a arrow_array::TimestampNanosecondArray,
    duration: &'a arrow_array::Int64Array,
    event_keys: Vec<Few<'a>>,
    texts: Vec<(&'static str, Few<'a>)>,
    event_seq: &'a arrow_array::Int64Array,
    ints: Vec<(&'static str, &'a arrow_array::Int64Array)>,
    doubles: Vec<(&'static str, &'a arrow_array::Float64Array)>,
    attributes: &'a arrow_array::MapArray,
    attribute_types: Few<'a>,
    links: &'a arrow_array::ListArray,
    events: &'a arrow_array::ListArray,
    resource: Few<'a>,
    trace_state: Few<'a>,
}

/// What rows share.
#[derive(Default)]
struct Shared {
    keys: Interned,
    resource: Option<(Text, Arc<Resource>)>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, BadColumns> {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| BadColumns(format!("there is no {name}")))
        };
        let wrong = |name: &str| BadColumns(format!("{name} is of another type"));
        let few = |name: &str| {
            let rows = column(name)?
                .as_dictionary_opt::<Int32Type>()
                .ok_or_else(|| wrong(name))?;
            let values = rows
                .values()
                .as_string_opt::<i32>()
                .ok_or_else(|| wrong(name))?;
            let values = values.iter().map(|value| match value {
                None | Some("") => Text::EMPTY,
                Some(value) => value.to_owned().into(),
            });
            Ok(Few {
                rows,
                values: values.collect(),
            })
        };
        let text = |name: &str| {
            column(name)?
                .as_string_opt::<i32>()
                .ok_or_else(|| wrong(name))
        };
        let int = |name: &str| {
            column(name)?
                .as_primitive_opt::<Int64Type>()
                .ok_or_else(|| wrong(name))
        };
        let double = |name: &str| {
            column(name)?
                .as_primitive_opt::<Float64Type>()
                .ok_or_else(|| wrong(name))
        };
        let list = |name: &str| {
            column(name)?
                .as_list_opt::<i32>()
                .ok_or_else(|| wrong(name))
        };
        Ok(Self {
            trace_id: few(names::TRACE_ID)?,
            span_id: text(names::SPAN_ID)?,
            parent_id: text(names::PARENT_ID)?,
            name: few(names::NAME)?,
            op: few(names::OP)?,
            kind: few(names::KIND)?,
            status: few(names::STATUS)?,
            status_message: text(names::STATUS_MESSAGE)?,
            start: column(names::START)?
                .as_primitive_opt::<TimestampNanosecondType>()
                .ok_or_else(|| wrong(names::START))?,
            duration: int(names::DURATION)?,
            event_keys: EVENT_KEYS
                .iter()
                .map(|(_, name)| few(name))
                .collect::<Result<_, _>>()?,
            texts: TEXT_ATTRIBUTES
                .iter()
                .map(|(key, name)| Ok((*key, few(name)?)))
                .collect::<Result<_, _>>()?,
            event_seq: int(names::EVENT_SEQ)?,
            ints: INT_ATTRIBUTES
                .iter()
                .map(|(key, name)| Ok((*key, int(name)?)))
                .collect::<Result<_, _>>()?,
            doubles: DOUBLE_ATTRIBUTES
                .iter()
                .map(|(key, name)| Ok((*key, double(name)?)))
                .collect::<Result<_, _>>()?,
            attributes: column(names::ATTRIBUTES)?
                .as_map_opt()
                .ok_or_else(|| wrong(names::ATTRIBUTES))?,
            attribute_types: few(names::ATTRIBUTE_TYPES)?,
            links: list(names::LINKS)?,
            events: list(names::EVENTS)?,
            resource: few(names::RESOURCE)?,
            trace_state: few(names::TRACE_STATE)?,
        })
    }

    fn span(&self, row: usize, shared: &mut Shared) -> Result<Span, BadColumns> {
        let trace_id: TraceId = id(self.trace_id.get(row).map(|text| &**text), names::TRACE_ID)?;
        let parent_id = text_at(self.parent_id, row);
        let start = self.start.value(row).cast_unsigned();
        let message = text_at(self.status_message, row);
        Ok(Span {
            trace_id,
            span_id: id(text_at(self.span_id, row), names::SPAN_ID)?,
            parent_id: parent_id
                .map(|text| id(Some(text), names::PARENT_ID))
                .transpose()?,
            name: SpanName {
                stem: "",
                rest: self.name.text(row),
            },
            op: self.op.text(row),
            kind: self
                .kind
                .get(row)
                .map_or(SpanKind::Unspecified, |name| kind_named(name)),
            start: Timestamp::from_nanos(start),
            end: Timestamp::from_nanos(
                start.wrapping_add(self.duration.value(row).cast_unsigned()),
            ),
            status: match self.status.get(row).map(|status| &**status) {
                Some("ok") => SpanStatus::Ok,
                Some("error") => SpanStatus::Error(text_of(message)),
                _ => SpanStatus::Unset,
            },
            pending: false,
            event: self.event_keys(row),
            attributes: self.attributes(row, shared),
            links: self.links(row, trace_id)?,
            events: self.events(row),
            trace_state: self.trace_state.text(row),
            resource: self.resource(row, shared),
        })
    }

    fn event_keys(&self, row: usize) -> Option<EventKeys> {
        let text = |at: usize| {
            self.event_keys
                .get(at)
                .map(|column| column.text(row))
                .unwrap_or_default()
        };
        let seq = self
            .event_seq
            .is_valid(row)
            .then(|| self.event_seq.value(row));
        let keys = EventKeys {
            event_type: text(0),
            project_id: text(1),
            command_id: text(2),
            seq: seq.unwrap_or(0).cast_unsigned(),
            session_id: text(3),
        };
        (keys != EventKeys::default()).then_some(keys)
    }

    fn attributes(&self, row: usize, shared: &mut Shared) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        for (key, column) in &self.texts {
            attributes.extend(
                column
                    .get(row)
                    .map(|text| Attribute::new(*key, text.clone())),
            );
        }
        for (key, column) in &self.ints {
            attributes.extend(
                column
                    .is_valid(row)
                    .then(|| Attribute::new(*key, column.value(row))),
            );
        }
        for (key, column) in &self.doubles {
            attributes.extend(
                column
                    .is_valid(row)
                    .then(|| Attribute::new(*key, column.value(row))),
            );
        }
        if self.attributes.is_null(row) {
            return attributes;
        }
        let entries = self.attributes.value(row);
        let (keys, values) = (
            entries.column(0).as_string_opt::<i32>(),
            entries.column(1).as_string_opt::<i32>(),
        );
        if let (Some(keys), Some(values)) = (keys, values) {
            let types = self.attribute_types.text(row);
            let types = types.chars().chain(std::iter::repeat('s'));
            attributes.extend((0..entries.len()).zip(types).map(|(at, letter)| Attribute {
                key: shared.keys.text(keys.value(at)),
                value: values::read(letter, text_at(values, at).unwrap_or_default()),
            }));
        }
        attributes
    }

    fn links(&self, row: usize, own: TraceId) -> Result<Links, BadColumns> {
        if self.links.is_null(row) {
            return Ok(Links::None);
        }
        let list = self.links.value(row);
        let fields = Members::of(&list)?;
        let all = (0..list.len()).map(|at| {
            let trace_id = fields.text("trace_id", at);
            let attributes = fields.text("attributes", at);
            Ok(Link {
                trace_id: trace_id.map_or(Ok(own), |text| id(Some(text), "a link's trace_id"))?,
                span_id: id(fields.text("span_id", at), "a link's span_id")?,
                attributes: attributes.map(values::read_all).unwrap_or_default(),
            })
        });
        let all: Vec<Link> = all.collect::<Result<_, _>>()?;
        let is_short = (0..list.len()).all(|at| fields.text("trace_id", at).is_none());
        Ok(match is_short {
            true => Links::SameTrace(all.iter().map(|link| link.span_id).collect()),
            false => Links::Any(all),
        })
    }

    fn events(&self, row: usize) -> Vec<SpanEvent> {
        if self.events.is_null(row) {
            return Vec::new();
        }
        let list = self.events.value(row);
        let Ok(fields) = Members::of(&list) else {
            return Vec::new();
        };
        let at = fields.0.column_by_name("at");
        let at = at.and_then(|at| at.as_primitive_opt::<TimestampNanosecondType>());
        let all = (0..list.len()).map(|event| SpanEvent {
            at: Timestamp::from_nanos(at.map_or(0, |at| at.value(event).cast_unsigned())),
            name: text_of(fields.text("name", event)),
            attributes: fields
                .text("attributes", event)
                .map(values::read_all)
                .unwrap_or_default(),
        });
        all.collect()
    }

    fn resource(&self, row: usize, shared: &mut Shared) -> Arc<Resource> {
        let written = self.resource.text(row);
        match &shared.resource {
            Some((last, resource)) if *last == written => Arc::clone(resource),
            _ => {
                let resource = Arc::new(read_resource(&written));
                shared.resource = Some((written, Arc::clone(&resource)));
                resource
            }
        }
    }
}

/// The members of a list of structs.
struct Members<'a>(&'a StructArray);

impl<'a> Members<'a> {
    fn of(list: &'a ArrayRef) -> Result<Self, BadColumns> {
        let members = list.as_struct_opt().map(Self);
        members.ok_or_else(|| BadColumns("a list is of another type".into()))
    }

    fn text(&self, name: &str, at: usize) -> Option<&'a str> {
        text_at(self.0.column_by_name(name)?.as_string_opt()?, at)
    }
}

fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn text_of(text: Option<&str>) -> Text {
    match text {
        None | Some("") => Text::EMPTY,
        Some(text) => text.to_owned().into(),
    }
}

fn id<T: std::str::FromStr>(text: Option<&str>, name: &str) -> Result<T, BadColumns> {
    let read = text.and_then(|text| text.parse().ok());
    read.ok_or_else(|| BadColumns(format!("{name} is no id")))
}

fn kind_named(name: &str) -> SpanKind {
    match name {
        "internal" => SpanKind::Internal,
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn read_resource(written: &str) -> Resource {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Written<'a> {
        #[serde(borrow)]
        attributes: Option<&'a serde_json::value::RawValue>,
        scope: String,
        scope_version: String,
    }
    let written: Written<'_> = serde_json::from_str(written).unwrap_or_default();
    let text = |text: String| {
        if text.is_empty() {
            Text::EMPTY
        } else {
            text.into()
        }
    };
    Resource {
        attributes: written
            .attributes
            .map(|raw| values::read_all(raw.get()))
            .unwrap_or_default(),
        scope_name: text(written.scope),
        scope_version: text(written.scope_version),
    }
}

#[cfg(test)]
mod tests {
    use hopline_traces::testing;
    use hopline_wire::span::Value;
    use proptest::prelude::*;

    use super::*;
    use crate::rows::Rows;

    fn through_columns(spans: &[Span]) -> Vec<Span> {
        let mut rows = Rows::default();
        spans.iter().for_each(|span| rows.push(span));
        spans_of(&rows.finish().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn any_finished_span_comes_back_as_what_it_was(mut spans in testing::spans()) {
            for (number, span) in spans.iter_mut().enumerate() {
                span.pending = false;
                span.span_id = testing::span_id(number as u64);
                span.event = span.event.take().filter(|keys| *keys != EventKeys::default());
            }
            spans.sort_by_key(|span| (span.trace_id, span.start, span.span_id));
            prop_assert_eq!(through_columns(&spans), spans);
        }
    }

    #[test]
    fn attributes_with_columns_of_their_own_come_back_of_their_type_alone() {
        let span = Span {
            attributes: vec![
                Attribute::new("db.system.name", "sqlite"),
                Attribute::new("error.type", "E"),
                Attribute::new("db.operation.batch.size", 7),
                Attribute::new("hopline.queue.wait_ms", 1.5),
                Attribute::new("db.system.name", "again"),
                Attribute::new("db.operation.name", 5),
                Attribute::new("hopline.shared_by", Value::Double(2.0)),
                Attribute::new("hopline.queue.wait_ms", 2),
            ],
            ..testing::span(1, 1)
        };
        assert_eq!(through_columns(std::slice::from_ref(&span)), [span]);
    }

    #[test]
    fn a_span_that_comes_again_replaces_the_one_before() {
        let later = Span {
            name: "later".into(),
            ..testing::span(1, 1)
        };
        let spans = [
            testing::span(2, 1),
            testing::span(1, 1),
            testing::span(1, 0),
            later.clone(),
        ];
        let expected = [testing::span(1, 0), later, testing::span(2, 1)];
        assert_eq!(through_columns(&spans), expected);
    }
}
