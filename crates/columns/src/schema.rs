//! The columns of spans at rest. `docs/spans.md` describes them to those who read the files with other engines.
//!
//! Nothing that a span says is lost: what has no column of its own stands in `attributes`, each value as text with a
//! letter for its type in `attribute_types`, so that it comes back as what it was.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// The names of the columns.
pub mod names {
    /// Text of 32 hexadecimal digits.
    pub const TRACE_ID: &str = "trace_id";
    /// Text of 16 hexadecimal digits.
    pub const SPAN_ID: &str = "span_id";
    /// Text of 16 hexadecimal digits; null for a trace's root.
    pub const PARENT_ID: &str = "parent_id";
    /// The name.
    pub const NAME: &str = "name";
    /// `sentry.op`.
    pub const OP: &str = "op";
    /// `internal`, `server`, `client`, `producer`, `consumer`.
    pub const KIND: &str = "kind";
    /// `ok` or `error`; null if nothing was said.
    pub const STATUS: &str = "status";
    /// How a failed span failed.
    pub const STATUS_MESSAGE: &str = "status_message";
    /// `service.name` of the resource.
    pub const SERVICE: &str = "service";
    /// When the span began.
    pub const START: &str = "start";
    /// The span's length in nanoseconds; negative if it ended before it began.
    pub const DURATION: &str = "duration_ns";
    /// What is no span: `event` or `log`.
    pub const RECORD: &str = "record";
    /// How many such spans this one stands for.
    pub const WEIGHT: &str = "weight";
    /// `event.seq`.
    pub const EVENT_SEQ: &str = "event_seq";
    /// All attributes without a column of their own, in the order in which they came.
    pub const ATTRIBUTES: &str = "attributes";
    /// A letter for the type of each of these.
    pub const ATTRIBUTE_TYPES: &str = "attribute_types";
    /// Links to other spans.
    pub const LINKS: &str = "links";
    /// What happened within the span.
    pub const EVENTS: &str = "events";
    /// Who made the span, in JSON.
    pub const RESOURCE: &str = "resource";
    /// `tracestate` (W3C).
    pub const TRACE_STATE: &str = "trace_state";
}

/// Attributes with a column of their own, and the column. A value of another type stays among the others.
pub const TEXT_ATTRIBUTES: [(&str, &str); 6] = [
    ("db.system.name", "db_system"),
    ("db.operation.name", "db_operation"),
    ("db.collection.name", "db_collection"),
    ("db.query.summary", "db_summary"),
    ("error.type", "error_type"),
    ("hopline.record", names::RECORD),
];

/// The same for whole numbers.
pub const INT_ATTRIBUTES: [(&str, &str); 3] = [
    ("db.operation.batch.size", "batch_size"),
    ("hopline.shared_by", "shared_by"),
    ("messaging.batch.message_count", "message_count"),
];

/// The same for floating-point numbers.
pub const DOUBLE_ATTRIBUTES: [(&str, &str); 1] = [("hopline.queue.wait_ms", "queue_wait_ms")];

/// The keys of the event that a span is a hop of, and their columns.
pub const EVENT_KEYS: [(&str, &str); 4] = [
    ("event.type", "event_type"),
    ("event.projectId", "event_project_id"),
    ("event.commandId", "event_command_id"),
    ("event.sessionId", "event_session_id"),
];

/// Texts of which there are few.
pub(crate) fn few() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

pub(crate) fn link_fields() -> Fields {
    Fields::from(vec![
        // Null for a span of the same trace.
        Field::new("trace_id", DataType::Utf8, true),
        Field::new("span_id", DataType::Utf8, false),
        Field::new("attributes", DataType::Utf8, true),
    ])
}

pub(crate) fn event_fields() -> Fields {
    Fields::from(vec![
        Field::new("at", instant(), false),
        Field::new("name", DataType::Utf8, false),
        Field::new("attributes", DataType::Utf8, true),
    ])
}

fn list_of(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Struct(fields), true)))
}

/// The members of an entry of `attributes`.
pub(crate) fn entry_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ])
}

fn attributes() -> DataType {
    let entries = Field::new("key_value", DataType::Struct(entry_fields()), false);
    DataType::Map(Arc::new(entries), false)
}

/// The schema.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = vec![
        Field::new(names::TRACE_ID, few(), false),
        Field::new(names::SPAN_ID, DataType::Utf8, false),
        Field::new(names::PARENT_ID, DataType::Utf8, true),
        Field::new(names::NAME, few(), false),
        Field::new(names::OP, few(), true),
        Field::new(names::KIND, few(), true),
        Field::new(names::STATUS, few(), true),
        Field::new(names::STATUS_MESSAGE, DataType::Utf8, true),
        Field::new(names::SERVICE, few(), false),
        Field::new(names::START, instant(), false),
        Field::new(names::DURATION, DataType::Int64, false),
        Field::new(names::WEIGHT, DataType::Float64, false),
    ];
    let texts = EVENT_KEYS.iter().chain(&TEXT_ATTRIBUTES);
    fields.extend(texts.map(|(_, column)| Field::new(*column, few(), true)));
    fields.push(Field::new(names::EVENT_SEQ, DataType::Int64, true));
    let ints = INT_ATTRIBUTES.iter();
    fields.extend(ints.map(|(_, column)| Field::new(*column, DataType::Int64, true)));
    let doubles = DOUBLE_ATTRIBUTES.iter();
    fields.extend(doubles.map(|(_, column)| Field::new(*column, DataType::Float64, true)));
    fields.extend([
        Field::new(names::ATTRIBUTES, attributes(), true),
        Field::new(names::ATTRIBUTE_TYPES, few(), true),
        Field::new(names::LINKS, list_of(link_fields()), true),
        Field::new(names::EVENTS, list_of(event_fields()), true),
        Field::new(names::RESOURCE, few(), false),
        Field::new(names::TRACE_STATE, few(), true),
    ]);
    Arc::new(Schema::new(fields))
});
