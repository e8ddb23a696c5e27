//! Traces: spans in over OTLP (HTTP and gRPC) and in Sentry's envelopes, a trace's spans out, and questions to all of them.

mod body;
mod envelope;
mod export;
pub(crate) mod grpc;
mod ingest;
mod jaeger;
mod look;
mod outline;
mod questions;
mod room;

pub(crate) use envelope::{__path_take_envelope, take_envelope};
pub(crate) use export::{__path_export_spans, export_spans};
pub(crate) use ingest::{__path_take_spans, take_spans};
pub(crate) use jaeger::{
    __path_jaeger_dependencies, __path_jaeger_operations, __path_jaeger_operations_of,
    __path_jaeger_search, __path_jaeger_services, __path_jaeger_trace, jaeger_dependencies,
    jaeger_operations, jaeger_operations_of, jaeger_search, jaeger_services, jaeger_trace,
};
pub(crate) use look::{
    __path_build_path, __path_get_trace, __path_list_traces, build_path, get_trace, list_traces,
};
pub(crate) use outline::{__path_get_span, get_span};
pub(crate) use questions::{__path_query, __path_sql, AT_ONCE, query, sql};
pub(crate) use room::SpanRoom;
