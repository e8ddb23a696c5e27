//! Traces: spans in over OTLP/HTTP and in Sentry's envelopes, and a trace's spans out.

mod body;
mod envelope;
mod ingest;
mod look;
mod room;

pub(crate) use envelope::{__path_take_envelope, take_envelope};
pub(crate) use ingest::{__path_take_spans, take_spans};
pub(crate) use look::{__path_get_trace, __path_list_traces, get_trace, list_traces};
pub(crate) use room::SpanRoom;
