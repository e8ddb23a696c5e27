//! A program that traces itself with OpenTelemetry's crates: the trace that tests/clients.rs expects, over OTLP/gRPC or
//! OTLP/HTTP in protobuf, as OTEL_EXPORTER_OTLP_PROTOCOL says.

use opentelemetry::trace::{
    Link, Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

// gRPC is sent on tokio's runtime, HTTP by a thread that blocks.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The HTTP client asks for it, though nothing here speaks TLS; one that is set already does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_grpc =
        std::env::var("OTEL_EXPORTER_OTLP_PROTOCOL").is_ok_and(|protocol| protocol == "grpc");
    let exporter = if is_grpc {
        SpanExporter::builder().with_tonic().build()?
    } else {
        // Its client has a runtime of its own, which must not be made within another.
        tokio::task::spawn_blocking(|| SpanExporter::builder().with_http().build()).await??
    };
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "shop"),
        KeyValue::new("service.version", "1.2.3"),
    ]);
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build();
    let tracer = provider.tracer_with_scope(
        InstrumentationScope::builder("checkout")
            .with_version("4.5")
            .build(),
    );

    let tags = ["a", "b"].map(StringValue::from);
    let root = tracer
        .span_builder("checkout")
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("shop.items", 3),
            KeyValue::new("shop.total", 12.5),
            KeyValue::new("shop.paid", true),
            KeyValue::new("shop.tags", Value::Array(Array::String(tags.into()))),
        ])
        .start_with_context(&tracer, &Context::new());
    println!("trace {}", root.span_context().trace_id());
    let within = Context::new().with_span(root);
    let mut query = tracer
        .span_builder("SELECT cart")
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("sentry.op", "db"),
            KeyValue::new("db.system.name", "sqlite"),
        ])
        .start_with_context(&tracer, &within);
    query.end();
    let after = Link::new(
        query.span_context().clone(),
        vec![KeyValue::new("link.reason", "after")],
        0,
    );
    let mut mail = tracer
        .span_builder("mail")
        .with_kind(SpanKind::Producer)
        .with_attributes([KeyValue::new("sentry.op", "queue.publish")])
        .with_links(vec![after])
        .start_with_context(&tracer, &within);
    mail.add_event("retry", vec![KeyValue::new("attempt", 2)]);
    mail.set_status(Status::error("internal_error"));
    mail.end();
    within.span().end();
    tokio::task::spawn_blocking(move || provider.shutdown()).await??;
    Ok(())
}
