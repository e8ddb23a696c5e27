// A program that traces itself with OpenTelemetry's SDK: the trace that tests/clients.rs expects, over OTLP/HTTP in protobuf
// or JSON, or over OTLP/gRPC, as OTEL_EXPORTER_OTLP_PROTOCOL says.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";

/** The exporter for the protocol that is asked for. */
function exporterFor(protocol: string | undefined): SpanExporter {
  switch (protocol) {
    case "grpc":
      return new GrpcExporter();
    case "http/json":
      return new JsonExporter();
    default:
      return new ProtobufExporter();
  }
}

const exporter = exporterFor(process.env["OTEL_EXPORTER_OTLP_PROTOCOL"]);
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "shop", "service.version": "1.2.3" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
const tracer = provider.getTracer("checkout", "4.5");

const root = tracer.startSpan(
  "checkout",
  {
    kind: SpanKind.SERVER,
    attributes: { "shop.items": 3, "shop.total": 12.5, "shop.paid": true, "shop.tags": ["a", "b"] },
  },
  ROOT_CONTEXT,
);
process.stdout.write(`trace ${root.spanContext().traceId}\n`);
const within = trace.setSpan(ROOT_CONTEXT, root);
const query = tracer.startSpan(
  "SELECT cart",
  { kind: SpanKind.CLIENT, attributes: { "sentry.op": "db", "db.system.name": "sqlite" } },
  within,
);
query.end();
const mail = tracer.startSpan(
  "mail",
  {
    kind: SpanKind.PRODUCER,
    attributes: { "sentry.op": "queue.publish" },
    links: [{ context: query.spanContext(), attributes: { "link.reason": "after" } }],
  },
  within,
);
mail.addEvent("retry", { attempt: 2 });
mail.setStatus({ code: SpanStatusCode.ERROR, message: "internal_error" });
mail.end();
root.end();
await provider.shutdown();
