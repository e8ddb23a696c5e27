//! Programs that trace themselves with SDKs of others (`tests/clients/`), each sending the same small trace to Hopline:
//! what comes back is what they said, attribute for attribute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Place, Service, UP, eventually, finish};

fn client(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/clients")
        .join(path)
}

fn node(program: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(client(&format!("node/dist/{program}.js")));
    command
}

/// A program of this workspace's, which is made beside the tests.
fn rust(program: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap();
    Command::new(built.join(program))
}

fn python(program: &str) -> Command {
    let mut command = Command::new(client("python/.venv/bin/python"));
    command.arg(client(&format!("python/{program}.py")));
    command
}

/// A running Hopline.
struct House {
    place: Place,
    up: Service,
    dsn: String,
}

/// A span as Hopline gives it back.
#[derive(Debug, Clone)]
struct Span {
    json: Value,
    service: String,
    attributes: BTreeMap<String, Value>,
}

impl House {
    fn new() -> Self {
        let place = Place::new();
        let args = [&UP[..], &["--grpc-listen", "127.0.0.1:0"]].concat();
        let up = place.service(&args);
        let made = place.run(&["dsn", "create", "--name", "clients"]).expect(0);
        let dsn = made.stdout.trim().to_owned();
        Self { place, up, dsn }
    }

    fn url(&self) -> String {
        self.up.url("server")
    }

    /// The public key of the DSN.
    fn key(&self) -> &str {
        let (_, rest) = self.dsn.split_once("://").expect("a DSN");
        rest.split_once('@').expect("a key").0
    }

    /// Runs a client to its end. Answers the id of its trace.
    fn run(&self, mut command: Command, settings: &[(&str, &str)]) -> String {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SENTRY_DSN", &self.dsn)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.url())
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization=Bearer%20{}", self.key()),
            )
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        let ended = finish(command).expect(0);
        let trace = ended
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("trace "));
        trace.expect("the client tells its trace").to_owned()
    }

    /// The spans and records of a trace by their names, once there are so many.
    fn trace(&self, id: &str, count: usize) -> BTreeMap<String, Span> {
        eventually("all spans of the trace have come", || {
            let shown = self.place.run(&["trace", id, "--json"]);
            let document: Value = serde_json::from_str(&shown.stdout).ok()?;
            let mut spans = BTreeMap::new();
            for group in document["resourceSpans"].as_array()? {
                let resource = attributes(&group["resource"]["attributes"]);
                let service = resource.get("service.name").and_then(Value::as_str);
                for scope in group["scopeSpans"].as_array()? {
                    for json in scope["spans"].as_array()? {
                        let span = Span {
                            json: json.clone(),
                            service: service.unwrap_or_default().to_owned(),
                            attributes: attributes(&json["attributes"]),
                        };
                        spans.insert(json["name"].as_str()?.to_owned(), span);
                    }
                }
            }
            (spans.len() >= count).then_some(spans)
        })
    }
}

/// Attributes of OTLP in JSON as values of their type.
fn attributes(list: &Value) -> BTreeMap<String, Value> {
    let list = list.as_array().cloned().unwrap_or_default();
    let each = list.iter().map(|one| {
        (
            one["key"].as_str().unwrap().to_owned(),
            value(&one["value"]),
        )
    });
    each.collect()
}

fn value(any: &Value) -> Value {
    let (kind, value) = any.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        // A 64-bit number is a text there.
        "intValue" => json!(value.as_str().unwrap().parse::<i64>().unwrap()),
        "arrayValue" => {
            let values = value["values"].as_array().cloned().unwrap_or_default();
            values.iter().map(self::value).collect()
        }
        _ => value.clone(),
    }
}

/// What every client has said.
#[track_caller]
fn check(spans: &BTreeMap<String, Span>, root_op: Option<&str>) {
    let [root, query, mail] = ["checkout", "SELECT cart", "mail"].map(|name| &spans[name]);
    for (key, said) in [
        ("shop.items", json!(3)),
        ("shop.total", json!(12.5)),
        ("shop.paid", json!(true)),
        ("shop.tags", json!(["a", "b"])),
    ] {
        assert_eq!(root.attributes.get(key), Some(&said), "{key} of {root:?}");
    }
    let op = |span: &Span| {
        span.attributes
            .get("sentry.op")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    assert_eq!(op(root).as_deref(), root_op);
    assert_eq!(op(query).as_deref(), Some("db"));
    assert_eq!(op(mail).as_deref(), Some("queue.publish"));
    assert_eq!(query.attributes["db.system.name"], "sqlite");
    for child in [query, mail] {
        assert_eq!(child.json["parentSpanId"], root.json["spanId"], "{child:?}");
        assert_eq!(child.json["traceId"], root.json["traceId"]);
        assert_eq!(child.service, "shop");
    }
    let status = &mail.json["status"];
    assert_eq!(
        (&status["code"], &status["message"]),
        (&json!(2), &json!("internal_error"))
    );
    let nanos = |span: &Span, key: &str| span.json[key].as_str().unwrap().parse::<u64>().unwrap();
    for span in [root, query, mail] {
        let (start, end) = (
            nanos(span, "startTimeUnixNano"),
            nanos(span, "endTimeUnixNano"),
        );
        assert!(
            start <= end && start > 1_700_000_000_000_000_000,
            "{span:?}"
        );
    }
}

/// What OpenTelemetry's say beyond that.
#[track_caller]
fn check_otel(spans: &BTreeMap<String, Span>) {
    check(spans, None);
    let [root, query, mail] = ["checkout", "SELECT cart", "mail"].map(|name| &spans[name]);
    let kinds = [root, query, mail].map(|span| span.json["kind"].as_u64());
    assert_eq!(kinds, [Some(2), Some(3), Some(4)]);
    assert_eq!(root.attributes.len(), 4, "{root:?}");
    assert_eq!(mail.json["links"][0]["spanId"], query.json["spanId"]);
    assert_eq!(
        attributes(&mail.json["links"][0]["attributes"])["link.reason"],
        "after"
    );
    assert_eq!(mail.json["events"][0]["name"], "retry");
    assert_eq!(
        attributes(&mail.json["events"][0]["attributes"])["attempt"],
        2
    );
}

/// What Sentry's say beyond that.
#[track_caller]
fn check_sentry(spans: &BTreeMap<String, Span>, error: &str) {
    check(spans, Some("http.server"));
    let root = &spans["checkout"];
    assert_eq!(root.attributes["sentry.release"], "shop@1.2.3");
    assert_eq!(root.attributes["sentry.environment"], "test");
    let thrown = &spans[error];
    assert_eq!(thrown.attributes["hopline.record"], "event");
    assert_eq!(thrown.json["parentSpanId"], spans["mail"].json["spanId"]);
    let exception = attributes(&thrown.json["events"][0]["attributes"]);
    assert_eq!(exception["exception.message"], "no such mailbox");
}

#[test]
fn sentry_for_node_streams_its_spans() {
    let house = House::new();
    let trace = house.run(node("sentry"), &[("LIFECYCLE", "stream")]);
    check_sentry(&house.trace(&trace, 4), "Error: no such mailbox");
}

#[test]
fn sentry_for_node_sends_transactions() {
    let house = House::new();
    let trace = house.run(node("sentry"), &[("LIFECYCLE", "static")]);
    check_sentry(&house.trace(&trace, 4), "Error: no such mailbox");
}

#[test]
fn sentry_in_a_browser_streams_its_spans_and_sends_transactions() {
    let house = House::new();
    for lifecycle in ["stream", "static"] {
        let trace = house.run(node("browser"), &[("LIFECYCLE", lifecycle)]);
        check_sentry(&house.trace(&trace, 4), "Error: no such mailbox");
    }
}

#[test]
fn sentry_for_rust_sends_transactions() {
    let house = House::new();
    let trace = house.run(rust("sentry-client"), &[]);
    check_sentry(&house.trace(&trace, 4), "Mail: no such mailbox");
}

#[test]
fn sentry_for_python_sends_transactions() {
    let house = House::new();
    let trace = house.run(python("sentry_client"), &[]);
    check_sentry(&house.trace(&trace, 4), "ValueError: no such mailbox");
}

#[test]
fn opentelemetry_for_node_sends_protobuf_and_json() {
    let house = House::new();
    for protocol in ["http/protobuf", "http/json"] {
        let settings = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
        let trace = house.run(node("otel"), &settings);
        check_otel(&house.trace(&trace, 3));
    }
}

#[test]
fn opentelemetry_for_python_sends_protobuf_plain_and_gzipped() {
    let house = House::new();
    for compression in ["none", "gzip"] {
        let settings = [("OTEL_EXPORTER_OTLP_COMPRESSION", compression)];
        let trace = house.run(python("otel_client"), &settings);
        check_otel(&house.trace(&trace, 3));
    }
}

#[test]
fn opentelemetry_for_rust_sends_protobuf() {
    let house = House::new();
    let settings = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    let trace = house.run(rust("otel-client"), &settings);
    check_otel(&house.trace(&trace, 3));
}

#[test]
fn opentelemetry_sends_over_grpc_plain_and_gzipped() {
    let house = House::new();
    let url = house.up.url("grpc");
    let plain = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
    ];
    let gzip = [("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")];
    for settings in [plain.to_vec(), [&plain[..], &gzip].concat()] {
        for client in [node("otel"), python("otel_client"), rust("otel-client")] {
            let trace = house.run(client, &settings);
            check_otel(&house.trace(&trace, 3));
        }
    }
}

#[test]
fn a_program_with_sentry_continues_the_trace_of_the_build_that_runs_it() {
    let house = House::new();
    let program = client("node/dist/sentry.js");
    let script = format!("SENTRY_DSN={} node {}", house.dsn, program.display());
    let args = ["build", "shop", "--json", "--", "sh", "-c", &script];
    let built = house.place.run(&args).expect(0).last_json();
    let spans = house.trace(built["traceId"].as_str().unwrap(), 10);
    let all = || {
        eventually("the program's spans have come", || {
            let spans = house.trace(built["traceId"].as_str().unwrap(), 10);
            spans.contains_key("checkout").then_some(spans)
        })
    };
    let spans = if spans.contains_key("checkout") {
        spans
    } else {
        all()
    };
    let parent = &spans["checkout"].json["parentSpanId"];
    let above = spans.values().find(|span| span.json["spanId"] == *parent);
    let above = above.expect("the parent is in the same trace").json["name"]
        .as_str()
        .unwrap();
    assert!(above.starts_with("runner."), "{above}");
}

#[test]
#[cfg(feature = "query")]
fn what_reads_traces_from_a_jaeger_reads_them_from_hopline() {
    let house = House::new();
    let build = |script: &str, code| {
        let args = ["build", "shop", "--json", "--", "sh", "-c", script];
        house.place.run(&args).expect(code).last_json()
    };
    let good = build("echo one; echo two", 0);
    let bad = build("exit 3", 3);
    let (good, bad) = (
        good["traceId"].as_str().unwrap(),
        bad["traceId"].as_str().unwrap(),
    );
    // The last span of a build is its command's.
    let whole = |trace: &str| {
        eventually("the command's span", || {
            let spans = house.trace(trace, 10);
            spans
                .contains_key("handleCommand.start-build")
                .then_some(spans)
        })
    };
    let (own, _) = (whole(good), whole(bad));
    let mut reader = python("jaeger_reader");
    reader
        .arg(good)
        .env_clear()
        .env("JAEGER_URL", format!("{}/jaeger", house.url()))
        .env("JAEGER_TOKEN", house.place.secret("admin_secret"));
    let read = finish(reader).expect(0).last_json();
    let parts = [
        "hopline-broker",
        "hopline-processor",
        "hopline-runner",
        "hopline-server",
    ];
    assert_eq!(read["services"], serde_json::json!(parts));
    let spans = read["spans"].as_object().unwrap();
    assert!(spans.len() >= own.len(), "{} of {}", spans.len(), own.len());
    for span in own.values() {
        let there = &spans[span.json["spanId"].as_str().unwrap()];
        let parent = span.json["parentSpanId"]
            .as_str()
            .filter(|id| !id.is_empty());
        assert_eq!(there["parent"].as_str(), parent);
        assert_eq!(there["name"], span.json["name"]);
        assert_eq!(there["service"], span.service);
        assert_eq!(there["op"], span.attributes["sentry.op"]);
    }
    let root = read["root"].as_str().unwrap();
    assert!(root.starts_with("POST /api/projects/"), "{root}");
    let both = serde_json::json!([bad, good]);
    let one = |trace: &str| serde_json::json!([trace]);
    let none = serde_json::json!([]);
    for (looked_for, expected) in [
        ("service", &both),
        ("operation", &both),
        ("failed", &one(bad)),
        ("tag", &one(good)),
        ("long", &none),
        ("short", &one(bad)),
        ("now", &both),
        ("before", &none),
        ("nobody", &none),
    ] {
        assert_eq!(read["found"][looked_for], *expected, "{looked_for}");
    }
    let calls = |parent: &str, child: &str| {
        let all = read["dependencies"].as_array().unwrap();
        let found = all.iter().find(|one| one[0] == parent && one[1] == child);
        found.and_then(|one| one[2].as_u64()).unwrap_or(0)
    };
    assert!(calls("hopline-runner", "hopline-broker") >= 6, "{read}");
    assert_eq!(calls("hopline-broker", "hopline-runner"), 2, "{read}");
    assert_eq!(calls("hopline-runner", "hopline-processor"), 0, "{read}");
}
