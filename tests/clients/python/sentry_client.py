"""A program that traces itself with sentry-sdk: the trace that tests/clients.rs expects."""

import os

import sentry_sdk

sentry_sdk.init(
    dsn=os.environ["SENTRY_DSN"],
    release="shop@1.2.3",
    environment="test",
    traces_sample_rate=1.0,
    default_integrations=False,
)

with sentry_sdk.start_transaction(name="checkout", op="http.server") as root:
    print("trace", root.trace_id, flush=True)
    root.set_data("shop.items", 3)
    root.set_data("shop.total", 12.5)
    root.set_data("shop.paid", True)
    root.set_data("shop.tags", ["a", "b"])
    with sentry_sdk.start_span(op="db", name="SELECT cart") as query:
        query.set_data("db.system.name", "sqlite")
    with sentry_sdk.start_span(op="queue.publish", name="mail") as mail:
        mail.set_status("internal_error")
        try:
            raise ValueError("no such mailbox")
        except ValueError as error:
            sentry_sdk.capture_exception(error)

sentry_sdk.flush(5)
