// The script of a page that traces itself with @sentry/browser: the trace that tests/clients.rs expects, streamed or in a
// transaction, as the page's address says.

import * as Sentry from "@sentry/browser";

const asked = new URLSearchParams(location.search);
const client = Sentry.init({
  dsn: asked.get("dsn") ?? "",
  release: "shop@1.2.3",
  environment: "test",
  tracesSampleRate: 1,
  traceLifecycle: asked.get("lifecycle") === "static" ? "static" : "stream",
  defaultIntegrations: false,
});
if (client === undefined) throw new Error("the SDK did not start");

let traceId = "";
Sentry.startSpan(
  {
    name: "checkout",
    op: "http.server",
    attributes: { "shop.items": 3, "shop.total": 12.5, "shop.paid": true, "shop.tags": ["a", "b"] },
  },
  (root) => {
    traceId = root.spanContext().traceId;
    Sentry.startSpan({ name: "SELECT cart", op: "db", attributes: { "db.system.name": "sqlite" } }, () => {});
    Sentry.startSpan({ name: "mail", op: "queue.publish" }, (mail) => {
      mail.setStatus({ code: 2, message: "internal_error" });
      Sentry.captureException(new Error("no such mailbox"));
    });
  },
);
const sent = await Sentry.close(10_000);
await fetch("/ended", { method: "POST", body: sent ? traceId : "" });
