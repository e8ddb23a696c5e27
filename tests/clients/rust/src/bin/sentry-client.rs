//! A program that traces itself with the `sentry` crate: the trace that tests/clients.rs expects.

use anyhow::Context as _;
use sentry::protocol::{Event, Exception, SpanStatus, TraceContext};
use sentry::{ClientOptions, TransactionContext};

fn main() -> anyhow::Result<()> {
    // The HTTP client asks for it, though nothing here speaks TLS; one that is set already does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dsn = std::env::var("SENTRY_DSN").context("SENTRY_DSN is not set")?;
    let options = ClientOptions::new()
        .release("shop@1.2.3")
        .environment("test")
        .traces_sample_rate(1.0);
    let guard = sentry::init((dsn, options));

    let root = sentry::start_transaction(TransactionContext::new("checkout", "http.server"));
    let TraceContext { trace_id, .. } = root.get_trace_context();
    println!("trace {trace_id}");
    root.set_data("shop.items", 3.into());
    root.set_data("shop.total", 12.5.into());
    root.set_data("shop.paid", true.into());
    root.set_data("shop.tags", vec!["a", "b"].into());
    let query = root.start_child("db", "SELECT cart");
    query.set_data("db.system.name", "sqlite".into());
    query.finish();
    let mail = root.start_child("queue.publish", "mail");
    mail.set_status(SpanStatus::InternalError);
    sentry::configure_scope(|scope| scope.set_span(Some(mail.clone().into())));
    let exception = Exception {
        ty: "Mail".into(),
        value: Some("no such mailbox".into()),
        ..Exception::default()
    };
    sentry::capture_event(Event {
        exception: vec![exception].into(),
        ..Event::default()
    });
    mail.finish();
    root.finish();
    drop(guard);
    Ok(())
}
