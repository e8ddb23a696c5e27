//! Spans in over OTLP/HTTP, and who may send which.

use axum::http::StatusCode;
use hopline_wire::otlp::{encode, encode_json, to_request};
use hopline_wire::span::{Span, SpanName};
use hopline_wire::{SpanId, Timestamp};
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};

use crate::builds::start;
use crate::support::{Answer, House, INGEST, answer, broker, event, house, house_with};

pub(crate) const TRACE: &str = "771a43a4192642f0b136d5159a501700";

pub(crate) fn span(trace_id: &str, number: u64) -> Span {
    let pipeline = hopline_telemetry::Pipeline::start(Vec::new(), 0).unwrap().0;
    let tracer = hopline_telemetry::Tracer::new(pipeline, "tool", "1");
    let header = format!("{trace_id}-b7ad6b7169203331-1");
    let context = hopline_telemetry::TraceContext::from_headers(|name| {
        (name == "sentry-trace").then_some(header.as_str())
    });
    let context = context.unwrap().unwrap();
    Span {
        span_id: SpanId::from_bytes(number.to_be_bytes()).unwrap(),
        name: SpanName::from("compile".to_owned()),
        ..tracer.begin(
            hopline_telemetry::Hop::Build,
            "",
            &context,
            Timestamp::now(),
        )
    }
}

async fn send(house: &House, key: &str, content_type: &str, body: Vec<u8>) -> Answer {
    let request = house
        .bare(Method::POST, "/v1/traces")
        .bearer_auth(key)
        .header("content-type", content_type);
    answer(request.body(body)).await
}

#[tokio::test]
async fn spans_come_in_by_either_encoding_and_are_found() {
    let house = house().await;
    let protobuf = encode(&to_request(&[span(TRACE, 1)]));
    let json = encode_json(&to_request(&[span(TRACE, 2)]));
    let (status, _) = send(&house, INGEST, "application/x-protobuf", protobuf).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = send(&house, INGEST, "application/json", json).await;
    assert_eq!((status, body), (StatusCode::OK, json!({})));
    assert_eq!(house.spans(TRACE).len(), 2);
}

#[tokio::test]
async fn a_signed_in_page_sends_its_spans_by_its_cookie_and_no_other_page_can() {
    let house = house_with(|options| {
        options.allowed_origins = vec!["http://app.example".into()];
        options.public_url = Some("https://hopline.example:8443/".into());
    })
    .await;
    let cookie = house.cookie().await;
    let own = format!("http://{}", house.server.address());
    let forged = format!("{cookie}x");
    // A browser sends the cookie to all ports of a host, from wherever on that host.
    for (number, (cookie, origin, key, status)) in (1..).zip([
        (cookie.as_str(), Some(own.as_str()), None, 200),
        // A proxy has put another name in `Host`.
        (
            cookie.as_str(),
            Some("https://hopline.example:8443"),
            None,
            200,
        ),
        (cookie.as_str(), Some("https://hopline.example"), None, 401),
        (cookie.as_str(), Some("http://127.0.0.1:1"), None, 401),
        (cookie.as_str(), Some("http://app.example"), None, 401),
        (cookie.as_str(), Some("null"), None, 401),
        (cookie.as_str(), None, None, 401),
        (forged.as_str(), Some(own.as_str()), None, 401),
        ("", Some(own.as_str()), None, 401),
        (cookie.as_str(), Some(own.as_str()), Some("wrong"), 403),
    ]) {
        let mut request = house
            .bare(Method::POST, "/v1/traces")
            .header("cookie", cookie)
            .header("content-type", "application/json")
            .body(encode_json(&to_request(&[span(TRACE, number)])));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let (got, body) = answer(request).await;
        assert_eq!(got.as_u16(), status, "{number}: {origin:?} {body}");
    }
    assert_eq!(house.spans(TRACE).len(), 2);
}

#[tokio::test]
async fn malformed_spans_are_refused_in_the_senders_own_format() {
    let house = house().await;
    for (content_type, body, status) in [
        ("application/json", "nonsense", 400),
        ("application/json", "{\"resourceSpans\":5}", 400),
        ("text/plain", "x", 415),
    ] {
        let (got, answer) = send(&house, INGEST, content_type, body.into()).await;
        assert_eq!(got.as_u16(), status, "{content_type}: {answer}");
        assert!(answer["error"].is_string() && answer["code"].is_string());
    }
    let response = house
        .bare(Method::POST, "/v1/traces")
        .bearer_auth(INGEST)
        .header("content-type", "application/x-protobuf")
        .body("nonsense")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 400);
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
}

#[tokio::test]
async fn a_builds_key_is_for_its_own_trace_and_ends_with_the_build() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("p").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    let key = command["payload"]["otlp"]["key"].as_str().unwrap();
    let own = started["traceId"].as_str().unwrap();
    let both = || encode(&to_request(&[span(own, 1), span(TRACE, 2)]));
    let response = house
        .bare(Method::POST, "/v1/traces")
        .bearer_auth(key)
        .header("content-type", "application/x-protobuf")
        .body(both())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let bytes = response.bytes().await.unwrap();
    let reply = opentelemetry_response(&bytes);
    assert_eq!(reply, 1, "the span of the other trace was refused");
    assert!(
        house
            .spans(own)
            .iter()
            .any(|span| span.name.to_string() == "runner.build"
                || span.name.to_string() == "compile")
    );
    assert!(house.spans(TRACE).is_empty());

    let (status, _) = answer(house.bare(Method::GET, "/api/projects").bearer_auth(key)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "it is write-only");

    let done = event(
        "build-completed",
        &command,
        1,
        json!({"payload": {"todos": []}, "exitCode": 0}),
    );
    house.ingest(done.to_string()).await;
    let (status, body) = send(&house, key, "application/x-protobuf", both()).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::FORBIDDEN, &json!("build_ended"))
    );
    let forged = format!("{key}x");
    let (status, body): (_, Value) = send(&house, &forged, "application/x-protobuf", both()).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::FORBIDDEN, &json!("forbidden"))
    );
}

#[tokio::test]
async fn of_two_builds_in_one_trace_each_key_ends_with_its_own_build() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let mut builds = Vec::new();
    for name in ["first", "second"] {
        let project = house.project(name).await;
        let request = house
            .admin(Method::POST, &format!("/api/projects/{project}/build"))
            .header("sentry-trace", format!("{TRACE}-b7ad6b7169203331-1"))
            .json(&json!({"command": "true", "trace": "continue"}));
        let (status, started) = answer(request).await;
        assert_eq!(
            (status, &started["traceId"]),
            (StatusCode::ACCEPTED, &json!(TRACE))
        );
        builds.push(broker.next().await["command"].take());
    }
    let may_send = async |build: &Value| {
        let key = build["payload"]["otlp"]["key"].as_str().unwrap();
        let spans = encode(&to_request(&[span(TRACE, 1)]));
        let (status, _) = send(&house, key, "application/x-protobuf", spans).await;
        status == StatusCode::OK
    };
    let end = async |build: &Value| {
        let end = json!({"payload": {"todos": []}, "exitCode": 0});
        let end = event("build-completed", build, 1, end).to_string();
        let (status, body) = house.ingest(end).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    };
    let [first, second] = &builds[..] else {
        unreachable!()
    };
    assert!(may_send(first).await && may_send(second).await);
    // The newer ends, then the older.
    end(second).await;
    assert!(may_send(first).await && !may_send(second).await);
    end(first).await;
    assert!(!may_send(first).await && !may_send(second).await);
}

#[tokio::test]
async fn a_small_body_cannot_ask_for_more_spans_than_are_taken() {
    let house = house().await;
    let spans = ["{}"; 100_000].join(",");
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
    let (status, answer) = send(&house, INGEST, "application/json", body.into()).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large"))
    );
    // What it held of the room for spans is free again, for as much as is taken at once.
    let one = span(TRACE, 1);
    let numbered = |number: u64| Span {
        span_id: SpanId::from_bytes(number.to_be_bytes()).unwrap(),
        ..one.clone()
    };
    let spans: Vec<_> = (1..90_000).map(numbered).collect();
    let body = encode(&to_request(&spans));
    let (status, answer) = send(&house, INGEST, "application/x-protobuf", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn large_requests_that_come_together_are_all_taken() {
    let house = house().await;
    let one = span(TRACE, 1);
    let bodies = (0..4_u64).map(|request| {
        let numbered = |number: u64| Span {
            span_id: SpanId::from_bytes((request << 32 | number).to_be_bytes()).unwrap(),
            ..one.clone()
        };
        let spans: Vec<_> = (1..=12_000).map(numbered).collect();
        encode(&to_request(&spans))
    });
    let sent = bodies.map(|body| send(&house, INGEST, "application/x-protobuf", body));
    for (status, answer) in futures_util::future::join_all(sent).await {
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert_eq!(house.spans(TRACE).len(), 4 * 12_000);
}

/// How many spans an answer in protobuf says were refused.
fn opentelemetry_response(bytes: &[u8]) -> i64 {
    // partial_success is field 1 of the response.
    let mut bytes = bytes;
    let (tag, wire) = prost::encoding::decode_key(&mut bytes).unwrap();
    assert_eq!((tag, wire), (1, prost::encoding::WireType::LengthDelimited));
    let length = prost::encoding::decode_varint(&mut bytes).unwrap();
    let partial = &bytes[..usize::try_from(length).unwrap()];
    hopline_wire::otlp::ExportTracePartialSuccess::decode(partial)
        .unwrap()
        .rejected_spans
}
