"""Reads traces the way it reads them from a Jaeger, and prints what it found as one line of JSON.

Told by JAEGER_URL and JAEGER_TOKEN where to ask, and by its arguments for which trace.
"""

import json
import sys

from jaeger_mcp.facade import JaegerClient

trace_id = sys.argv[1]
client = JaegerClient.from_env()
trace = client.get_trace(trace_id)


def found(**looked_for):
    return [trace.trace_id for trace in client.search_traces(**looked_for)]


begun = min(span.start_time_us for span in trace.spans)
print(
    json.dumps(
        {
            "services": client.list_services(),
            "spans": {
                span.span_id: {
                    "parent": span.parent_span_id,
                    "name": span.operation,
                    "service": span.service_name,
                    "error": span.error,
                    "op": span.tags.get("sentry.op"),
                }
                for span in trace.spans
            },
            "root": trace.root_operation,
            "found": {
                "service": found(service="hopline-broker"),
                "operation": found(service="hopline-runner", operation="handleCommand.start-build"),
                "failed": found(service="hopline-runner", tags={"error": "true"}),
                "tag": found(service="hopline-processor", tags={"db.collection.name": "generation_notes"}),
                "long": found(service="hopline-runner", min_duration="1h"),
                "short": found(service="hopline-runner", max_duration="1h", limit=1),
                "now": found(service="hopline-runner", time_from=begun, time_to=begun + 3_600_000_000),
                "before": found(service="hopline-runner", time_from=1_000_000, time_to=2_000_000),
                "nobody": found(service="no such service"),
            },
            "dependencies": [
                [one.parent, one.child, one.call_count] for one in client.get_dependencies()
            ],
        }
    )
)
