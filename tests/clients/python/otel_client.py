"""A program that traces itself with OpenTelemetry's SDK: the trace that tests/clients.rs expects, over OTLP/HTTP or OTLP/gRPC,
as OTEL_EXPORTER_OTLP_PROTOCOL says."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

exporter = GrpcExporter() if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" else HttpExporter()
provider = TracerProvider(resource=Resource({"service.name": "shop", "service.version": "1.2.3"}))
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("checkout", "4.5")

root = tracer.start_span(
    "checkout",
    kind=SpanKind.SERVER,
    attributes={"shop.items": 3, "shop.total": 12.5, "shop.paid": True, "shop.tags": ["a", "b"]},
)
print("trace", trace.format_trace_id(root.get_span_context().trace_id), flush=True)
within = set_span_in_context(root)
query = tracer.start_span(
    "SELECT cart",
    within,
    kind=SpanKind.CLIENT,
    attributes={"sentry.op": "db", "db.system.name": "sqlite"},
)
query.end()
mail = tracer.start_span(
    "mail",
    within,
    kind=SpanKind.PRODUCER,
    attributes={"sentry.op": "queue.publish"},
    links=[Link(query.get_span_context(), {"link.reason": "after"})],
)
mail.add_event("retry", {"attempt": 2})
mail.set_status(Status(StatusCode.ERROR, "internal_error"))
mail.end()
root.end()
provider.shutdown()
