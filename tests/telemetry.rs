//! What the program tells of itself beside its traces: whose trace a log record belongs to, that spans were lost, and
//! to the programs of a build where theirs may go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::{Value, json};
use support::{Ended, Place, UP, eventually, finish, http};

/// An endpoint for spans that answers every request with this status.
fn endpoint(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream, status));
        }
    });
    address
}

/// Answers the requests of one connection.
fn answer(mut stream: TcpStream, status: &str) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => read(&mut stream, &mut bytes)?,
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.split_once("content-length: ")?.1;
        let length: usize = length.split("\r\n").next()?.parse().ok()?;
        while bytes.len() < head + length {
            read(&mut stream, &mut bytes)?;
        }
        bytes.drain(..head + length);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut more = [0; 4096];
    let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&more[..count]);
    Some(())
}

/// A run of a shell script with these variables set.
fn run(place: &Place, variables: &[(&str, &str)], script: &str) -> Ended {
    let mut command = place.hopline(&["run", "--json", "--", "sh", "-c", script]);
    command.envs(variables.iter().copied());
    finish(command).expect(0)
}

#[test]
fn log_records_name_the_trace_they_belong_to() {
    let place = Place::new();
    let variables = [("HOPLINE_LOG", "info"), ("HOPLINE_LOG_FORMAT", "json")];
    let ended = run(&place, &variables, "true");
    let outcome = ended.last_json();
    let records: Vec<Value> = ended
        .stderr
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    for message in ["command received", "build completed"] {
        let record = records.iter().find(|record| record["message"] == message);
        let record = record.unwrap_or_else(|| panic!("no {message}: {ended}"));
        assert_eq!(record["trace_id"], outcome["traceId"], "{record}");
        assert_eq!(record["command"], outcome["commandId"], "{record}");
    }
}

#[test]
fn an_endpoint_that_refuses_spans_is_told_of_once_and_what_was_lost_is_counted() {
    let place = Place::new();
    let url = format!("http://{}", endpoint("401 Unauthorized"));
    // Long enough for many batches.
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.06; done";
    let ended = run(&place, &[("HOPLINE_OTLP_URL", &url)], script);
    let told: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.contains("spans"))
        .collect();
    let [refuses, lost] = told.as_slice() else {
        panic!("expected two lines about spans: {ended}");
    };
    assert!(refuses.contains("refuses spans") && refuses.contains("401"));
    let count = lost.split_once("lost_by_endpoints=").map(|(_, rest)| rest);
    let count: u64 = count
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("the last word has the count: {ended}"));
    assert!(count > 50, "{lost}");
    assert!(ended.last_json()["spans"].as_u64() > Some(50), "{ended}");
}

#[test]
fn what_an_endpoint_refused_is_in_the_metrics() {
    let place = Place::new();
    let url = format!("http://{}/v1/traces", endpoint("400 Bad Request"));
    let mut command = place.hopline(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--broker-listen",
        "127.0.0.1:0",
    ]);
    command.env("HOPLINE_OTLP_URL", &url);
    let up = support::Service::start(command);
    place.run(&["run", "--", "true"]).expect(0);
    let (server, admin) = (up.address("server"), place.secret("admin_secret"));
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {admin}\r\nConnection: close\r\n\r\n"
    );
    eventually("the refused spans are counted", || {
        let metrics = http(server, &request);
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("hopline_spans_export_lost_total "))?;
        (line.trim().parse::<u64>().ok()? > 0).then_some(())
    });
    let (status, log) = up.terminate();
    assert!(status.success(), "{log}");
}

#[test]
fn the_tools_of_a_build_send_to_its_own_store_wherever_else_spans_go_too() {
    let place = Place::new();
    let address = endpoint("200 OK");
    let url = format!("http://{address}/v1/traces");
    let ended = run(&place, &[("HOPLINE_OTLP_URL", &url)], "env > env");
    let told = std::fs::read_to_string(place.project().join("env")).unwrap();
    let value = |name: &str| {
        let mut lines = told.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {name}:\n{told}"))
    };
    let to = value("OTEL_EXPORTER_OTLP_ENDPOINT");
    assert!(!told.contains(&address.to_string()), "{told}");
    assert!(
        to.starts_with("http://127.0.0.1:") && !to.contains("/v1"),
        "{to}"
    );
    assert_eq!(value("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf");
    assert!(value("OTEL_EXPORTER_OTLP_HEADERS").starts_with("Authorization=Bearer%20"));
    assert_eq!(
        value("TRACEPARENT").split('-').nth(1),
        ended.last_json()["traceId"].as_str()
    );
}

/// What an envelope says of a span, and of who sends it, in Sentry's words.
const SAID_BESIDE: [&str; 4] = [
    "sentry.is_segment",
    "sentry.kind",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
];

/// The spans of a trace by their ids: name, times, parent, status and attributes, those of their makers among them.
fn spans(place: &Place, trace: &str) -> BTreeMap<String, Value> {
    let read = place.run(&["trace", trace, "--json"]);
    let Ok(document) = serde_json::from_str::<Value>(&read.stdout) else {
        return BTreeMap::new();
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut spans = BTreeMap::new();
    for of_resource in list(&document["resourceSpans"]) {
        let resource = list(&of_resource["resource"]["attributes"]);
        for of_scope in list(&of_resource["scopeSpans"]) {
            for span in list(&of_scope["spans"]) {
                let own = list(&span["attributes"]);
                // Where both say it, the span does.
                let all = resource.iter().chain(&own);
                let all = all.filter(|one| !SAID_BESIDE.contains(&one["key"].as_str().unwrap()));
                let attributes: BTreeMap<_, _> = all
                    .map(|one| (one["key"].to_string(), one["value"].clone()))
                    .collect();
                let status = match &span["status"]["code"] {
                    Value::Number(two) if two.as_u64() == Some(2) => "error",
                    _ => "ok",
                };
                let mut events = list(&span["events"]);
                for event in &mut events {
                    let attributes = event["attributes"].as_array_mut().unwrap();
                    attributes.sort_by_key(|one| one["key"].to_string());
                }
                let told = json!({"name": span["name"], "kind": span["kind"], "parent": span["parentSpanId"],
                    "start": span["startTimeUnixNano"], "end": span["endTimeUnixNano"], "status": status,
                    "message": span["status"]["message"], "attributes": attributes, "events": events,
                    "links": list(&span["links"]).iter().map(|link| link["spanId"].clone()).collect::<Vec<_>>()});
                spans.insert(span["spanId"].as_str().unwrap().to_owned(), told);
            }
        }
    }
    spans
}

#[test]
fn with_a_dsn_alone_a_build_is_at_sentry_span_for_span_and_its_failure_is_an_error() {
    // What takes the place of Sentry is a Hopline of its own.
    let elsewhere = Place::new();
    let _up = elsewhere.service(&UP);
    let dsn = elsewhere.run(&["dsn", "create"]).expect(0);
    let here = Place::new();
    let script = "for i in $(seq 40); do echo $i; done; sleep 1.2; exit 3";
    let mut command = here.hopline(&["run", "--json", "--", "sh", "-c", script]);
    command.env("SENTRY_DSN", dsn.stdout.trim());
    let built = finish(command).expect(3).last_json();
    let trace = built["traceId"].as_str().unwrap();
    let own = spans(&here, trace);
    assert_eq!(own.len() as u64, built["spans"].as_u64().unwrap());
    let mut there = eventually("all spans are there", || {
        let there = spans(&elsewhere, trace);
        (there.len() > own.len()).then_some(there)
    });
    let errors: Vec<_> = there
        .extract_if(.., |id, _| !own.contains_key(id))
        .map(|(_, span)| span)
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let record = &errors[0]["attributes"]["\"hopline.record\""];
    assert_eq!(record["stringValue"], "event", "{:?}", errors[0]);
    for (id, span) in &own {
        assert_eq!(there.get(id), Some(span));
    }
}

#[test]
fn a_build_is_sent_on_over_grpc_span_for_span() {
    let elsewhere = Place::new();
    let up = elsewhere.service(&[&UP[..], &["--grpc-listen", "127.0.0.1:0"]].concat());
    let here = Place::new();
    let variables = [
        ("HOPLINE_OTLP_URL", &*up.url("grpc")),
        ("HOPLINE_OTLP_PROTOCOL", "grpc"),
        ("HOPLINE_OTLP_TOKEN", &elsewhere.secret("ingest_key")),
    ];
    let script = "for i in $(seq 40); do echo $i; done; sleep 1.2";
    let built = run(&here, &variables, script).last_json();
    let trace = built["traceId"].as_str().unwrap();
    let own = spans(&here, trace);
    assert_eq!(own.len() as u64, built["spans"].as_u64().unwrap());
    let there = eventually("all spans are there", || {
        let there = spans(&elsewhere, trace);
        (there.len() >= own.len()).then_some(there)
    });
    assert_eq!(there, own);
}
