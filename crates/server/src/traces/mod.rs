//! Traces: spans in over OTLP/HTTP and in Sentry's envelopes, a trace's spans out, and questions to all of them.

mod body;
mod envelope;
mod ingest;
mod look;
mod questions;
mod room;

pub(crate) use envelope::{__path_take_envelope, take_envelope};
pub(crate) use ingest::{__path_take_spans, take_spans};
pub(crate) use look::{__path_get_trace, __path_list_traces, get_trace, list_traces};
pub(crate) use questions::{__path_query, __path_sql, AT_ONCE, query, sql};
pub(crate) use room::SpanRoom;
