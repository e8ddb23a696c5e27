// A program that traces itself with @sentry/node: the trace that tests/clients.rs expects, streamed or in a transaction.

import * as Sentry from "@sentry/node";

const client = Sentry.init({
  dsn: process.env["SENTRY_DSN"],
  release: "shop@1.2.3",
  environment: "test",
  tracesSampleRate: 1,
  traceLifecycle: process.env["LIFECYCLE"] === "static" ? "static" : "stream",
  defaultIntegrations: false,
});
if (client === undefined) throw new Error("the SDK did not start");

/** What a span continues: the trace of the test, if it gives one. */
const carrier = {
  sentryTrace: process.env["SENTRY_TRACE"],
  baggage: process.env["BAGGAGE"],
};

Sentry.continueTrace(carrier, () => {
  Sentry.startSpan(
    {
      name: "checkout",
      op: "http.server",
      attributes: { "shop.items": 3, "shop.total": 12.5, "shop.paid": true, "shop.tags": ["a", "b"] },
    },
    (root) => {
      process.stdout.write(`trace ${root.spanContext().traceId}\n`);
      Sentry.startSpan({ name: "SELECT cart", op: "db", attributes: { "db.system.name": "sqlite" } }, () => {});
      Sentry.startSpan({ name: "mail", op: "queue.publish" }, (mail) => {
        mail.setStatus({ code: 2, message: "internal_error" });
        Sentry.captureException(new Error("no such mailbox"));
        Sentry.logger.warn("the mail is not sent", { attempt: 2 });
      });
    },
  );
});

if (!(await Sentry.close(5_000))) throw new Error("not everything was sent");
