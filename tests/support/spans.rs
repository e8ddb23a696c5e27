//! Reading a trace in OTLP/JSON, as `hopline trace --json` prints it.

use std::collections::HashMap;

use serde_json::Value;

/// A span, as far as the tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) kind: i64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) is_error: bool,
    pub(crate) attributes: HashMap<String, Value>,
    pub(crate) links: Vec<String>,
}

impl Span {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).and_then(Value::as_str)
    }

    pub(crate) fn op(&self) -> &str {
        self.text("sentry.op").unwrap_or_default()
    }

    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        let value = self.attributes.get(key)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }
}

/// A whole trace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) spans: Vec<Span>,
}

impl Trace {
    /// Reads the JSON that `hopline trace --json` prints.
    pub(crate) fn read(json: &str) -> Self {
        let request: Value = serde_json::from_str(json).expect("OTLP in JSON");
        let mut spans = Vec::new();
        for resource in list(&request["resourceSpans"]) {
            let attributes = attributes(&resource["resource"]["attributes"]);
            let service = attributes
                .get("service.name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            for scope in list(&resource["scopeSpans"]) {
                spans.extend(list(&scope["spans"]).map(|span| read(span, service)));
            }
        }
        Self { spans }
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    pub(crate) fn parent(&self, span: &Span) -> Option<&Span> {
        self.by_id(span.parent.as_deref()?)
    }

    pub(crate) fn named<'t>(&'t self, prefix: &'t str) -> impl Iterator<Item = &'t Span> {
        self.spans
            .iter()
            .filter(move |span| span.name.starts_with(prefix))
    }

    #[track_caller]
    pub(crate) fn only(&self, prefix: &str) -> &Span {
        let found: Vec<_> = self
            .spans
            .iter()
            .filter(|span| span.name.starts_with(prefix))
            .collect();
        assert_eq!(found.len(), 1, "spans named {prefix}*: {}", self.outline());
        found[0]
    }

    /// The names and parents, for a failed test.
    pub(crate) fn outline(&self) -> String {
        let line = |span: &Span| {
            let parent = self.parent(span).map_or("-", |parent| &parent.name);
            format!("\n  {} < {parent}", span.name)
        };
        self.spans.iter().map(line).collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn attributes(value: &Value) -> HashMap<String, Value> {
    let pairs = list(value).filter_map(|pair| {
        let value = pair["value"].as_object()?.values().next()?.clone();
        Some((pair["key"].as_str()?.to_owned(), value))
    });
    pairs.collect()
}

fn read(span: &Value, service: &str) -> Span {
    let text = |member: &str| span[member].as_str().unwrap_or_default().to_owned();
    let nanos = |member: &str| {
        let value = &span[member];
        value
            .as_str()
            .map_or_else(|| value.as_u64(), |text| text.parse().ok())
            .unwrap_or_default()
    };
    Span {
        trace_id: text("traceId"),
        id: text("spanId"),
        parent: Some(text("parentSpanId")).filter(|parent| !parent.is_empty()),
        name: text("name"),
        service: service.to_owned(),
        kind: span["kind"].as_i64().unwrap_or_default(),
        start: nanos("startTimeUnixNano"),
        end: nanos("endTimeUnixNano"),
        is_error: span["status"]["code"].as_i64() == Some(2),
        attributes: attributes(&span["attributes"]),
        links: list(&span["links"])
            .filter_map(|link| link["spanId"].as_str().map(str::to_owned))
            .collect(),
    }
}

/// The hops of an event, by their ops, in order.
const HOPS: [&[&str]; 4] = [
    &["runner.event.send"],
    &["broker.event.forward"],
    &["api.runner.event.process"],
    &["db.persist.event", "db.persist.finalize"],
];

/// Asserts that a build's trace is whole: one trace, one root, every event with all its hops under each other, each
/// persisted by statements and told to live clients.
#[track_caller]
pub(crate) fn assert_whole(trace: &Trace) {
    let roots: Vec<_> = trace
        .spans
        .iter()
        .filter(|span| span.parent.is_none())
        .collect();
    assert_eq!(roots.len(), 1, "roots: {}", trace.outline());
    assert_eq!(roots[0].name, "POST /api/projects/{id}/build");
    for span in &trace.spans {
        assert_eq!(span.trace_id, roots[0].trace_id);
        assert!(
            span.parent.is_none() || trace.parent(span).is_some(),
            "{} misses its parent",
            span.name
        );
        assert!(
            !span.attributes.contains_key("hopline.pending"),
            "{} has not finished",
            span.name
        );
    }
    let handle = trace.only("handleCommand.start-build");
    let route = trace.only("broker.routeCommand.start-build");
    assert_eq!(
        trace.parent(route).map(|span| span.id.as_str()),
        Some(roots[0].id.as_str())
    );
    assert_eq!(
        trace.parent(handle).map(|span| span.id.as_str()),
        Some(route.id.as_str())
    );
    assert_eq!(
        trace
            .parent(trace.only("runner.build"))
            .map(|span| &span.id),
        Some(&handle.id)
    );

    let sent: Vec<_> = trace
        .spans
        .iter()
        .filter(|span| span.op() == HOPS[0][0])
        .collect();
    assert!(sent.len() > 4, "events: {}", trace.outline());
    for sent in sent {
        let seq = sent.number("event.seq").expect("a number");
        let mut hop = sent;
        for ops in &HOPS[1..] {
            let below = trace
                .spans
                .iter()
                .find(|span| span.parent.as_ref() == Some(&hop.id) && ops.contains(&span.op()));
            hop = below
                .unwrap_or_else(|| panic!("event {seq} has no {}: {}", ops[0], trace.outline()));
            assert_eq!(
                hop.number("event.seq"),
                Some(seq),
                "{} is of event {seq}",
                hop.name
            );
        }
        assert!(
            !statements(trace, hop, "COMMIT").is_empty(),
            "event {seq} was not committed: {}",
            trace.outline()
        );
        let inserted = statements(trace, hop, "INSERT runner_events");
        assert_eq!(
            inserted.len(),
            1,
            "event {seq} was logged once: {}",
            trace.outline()
        );
    }
    assert!(
        trace.named("websocket.broadcast").count() > 0,
        "{}",
        trace.outline()
    );
}

/// The statements of this name that served a persist span: its children, and those that link it.
fn statements<'t>(trace: &'t Trace, persist: &Span, name: &str) -> Vec<&'t Span> {
    let serves = |span: &&Span| {
        span.parent.as_ref() == Some(&persist.id) || span.links.contains(&persist.id)
    };
    trace
        .spans
        .iter()
        .filter(|span| span.name == name)
        .filter(serves)
        .collect()
}
