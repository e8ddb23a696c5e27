//! A trace as a console reads it: all spans as columns, and one span whole.

use std::collections::HashSet;
use std::io::Read as _;

use axum::http::StatusCode;
use hopline_traces::{Durability, TraceStore as _};
use hopline_wire::span::{Attribute, Span, SpanEvent};
use reqwest::Method;
use serde_json::{Value, json};

use crate::builds::start;
use crate::support::{House, broker, house, part};
use crate::traces::{TOTAL, TRACE, span, store};

/// The outline, asked for with these headers.
async fn outline(house: &House, trace: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let path = format!("/api/traces/{trace}?format=outline");
    let request = house.admin(Method::GET, &path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.send().await.unwrap()
}

fn header<'r>(response: &'r reqwest::Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn an_outline_has_every_span_once_in_columns() {
    let house = house().await;
    store(&house, 3_000);
    let response = outline(&house, TRACE, &[]).await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(header(&response, TOTAL), "3000");
    let outline: Value = response.json().await.unwrap();
    let stored = house.spans(TRACE);
    let ids: Vec<_> = stored.iter().map(|span| span.span_id).collect();
    assert_eq!(outline["spans"]["id"], json!(ids));
    let seqs: Vec<_> = stored
        .iter()
        .map(|span| span.event.as_ref().map_or(0, |keys| keys.seq))
        .collect();
    assert_eq!(outline["spans"]["seq"], json!(seqs));
    assert_eq!(outline["ops"], json!(["build", "runner.event.send"]));
    assert_eq!(outline["total"], 3_000);
    assert!(outline.get("missing").is_none() && outline.get("sessionId").is_none());
}

#[tokio::test]
async fn an_outline_that_a_client_has_is_not_sent_again_until_it_changes() {
    let house = house().await;
    store(&house, 10);
    let first = outline(&house, TRACE, &[]).await;
    let tag = header(&first, "etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    assert_eq!(header(&first, "cache-control"), "private, no-cache");
    assert_eq!(first.headers().get_all("vary").iter().count(), 2);

    let again = outline(&house, TRACE, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status().as_u16(), 304);
    assert_eq!(header(&again, "etag"), tag);
    assert!(again.bytes().await.unwrap().is_empty());

    house
        .traces
        .append(&[span(11)], Durability::Buffered)
        .unwrap();
    let grown = outline(&house, TRACE, &[("if-none-match", &tag)]).await;
    assert_eq!(grown.status().as_u16(), 200);
    assert_ne!(header(&grown, "etag"), tag);
}

#[tokio::test]
async fn an_outline_is_compressed_as_the_client_takes_it_and_has_a_tag_for_each() {
    let house = house().await;
    store(&house, 3_000);
    let plain = outline(&house, TRACE, &[]).await;
    let mut tags = HashSet::from([header(&plain, "etag").to_owned()]);
    let plain = plain.bytes().await.unwrap();
    for (accepted, coding) in [("gzip, br", "gzip"), ("gzip, zstd", "zstd")] {
        let response = outline(&house, TRACE, &[("accept-encoding", accepted)]).await;
        assert_eq!(header(&response, "content-encoding"), coding);
        tags.insert(header(&response, "etag").to_owned());
        let body = response.bytes().await.unwrap();
        assert!(body.len() < plain.len() / 2);
        let mut whole = Vec::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut whole),
            _ => zstd::Decoder::new(&body[..])
                .unwrap()
                .read_to_end(&mut whole),
        }
        .unwrap();
        assert!(whole == plain);
    }
    assert_eq!(tags.len(), 3, "{tags:?}");
}

#[tokio::test]
async fn an_outline_names_the_build_whose_trace_it_is() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("outlined").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (begun, command) = start(&house, &broker, &project).await;
    let text = json!({"type": "text-delta", "id": "t", "delta": "hello"});
    let (status, reply) = house.ingest(part(&command, 1, text).to_string()).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let trace = begun["traceId"].as_str().unwrap();
    assert!(!house.spans(trace).is_empty());
    let outline: Value = outline(&house, trace, &[]).await.json().await.unwrap();
    for key in ["traceId", "sessionId", "buildId"] {
        assert_eq!(outline[key], begun[key], "{key}");
    }
    assert_eq!(outline["projectId"], command["projectId"]);
}

#[tokio::test]
async fn one_span_is_told_whole_and_one_that_is_not_there_by_404() {
    let house = house().await;
    store(&house, 5);
    let at = span(2).start;
    let detailed = Span {
        attributes: vec![Attribute::new("note", "<b>\u{1}é")],
        events: vec![SpanEvent {
            at,
            name: "retry".into(),
            attributes: vec![Attribute::new("attempt", 2)],
        }],
        ..span(2)
    };
    house
        .traces
        .append(&[detailed], Durability::Buffered)
        .unwrap();
    let path = |trace: &str, span: &str| format!("/api/traces/{trace}/spans/{span}");
    let (status, whole) = house.get(&path(TRACE, "0000000000000002")).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    let got = &whole["span"];
    assert_eq!(got["name"], "span 2");
    assert_eq!(got["parentSpanId"], "0000000000000001");
    assert_eq!(
        got["startTimeUnixNano"],
        span(2).start.as_nanos().to_string()
    );
    let note = json!({"key": "note", "value": {"stringValue": "<b>\u{1}é"}});
    assert!(got["attributes"].as_array().unwrap().contains(&note));
    assert_eq!(got["events"][0]["name"], "retry");
    assert!(whole["resource"].is_object() && whole["scope"].is_object());

    let other = "1".repeat(32);
    for (trace, span) in [
        (TRACE, "00000000000000ff"),
        (other.as_str(), "0000000000000002"),
        (TRACE, "0000000000000000"),
        (TRACE, "2"),
        (TRACE, "000000000000000G"),
        ("x", "0000000000000002"),
    ] {
        let (status, body) = house.get(&path(trace, span)).await;
        let not_found = (StatusCode::NOT_FOUND, &json!("not_found"));
        assert_eq!((status, &body["code"]), not_found, "{trace} {span}");
    }
}
