//! Traces out: in part, in figures, whole; and how much of the server they may take.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use axum::http::StatusCode;
use hopline_traces::{Appended, Durability, Overview, Part, Stats, Trace, TraceStore, TracesError};
use hopline_wire::otlp::{decode_json, from_request};
use hopline_wire::span::{EventKeys, Span, Text};
use hopline_wire::{SpanId, Timestamp, TraceId, ops};
use serde_json::json;

use crate::support::{ADMIN, House, house, until};

pub(crate) const TRACE: &str = "771a43a4192642f0b136d5159a501700";
pub(crate) const TOTAL: &str = "hopline-total-spans";

/// Span `number` of the trace: the build is number 1, the others are sendings of its events.
pub(crate) fn span(number: u64) -> Span {
    let id = |number: u64| SpanId::from_bytes(number.to_be_bytes()).unwrap();
    let is_build = number == 1;
    let keys = || EventKeys {
        command_id: "c".into(),
        seq: number,
        ..EventKeys::default()
    };
    Span {
        trace_id: TRACE.parse().unwrap(),
        span_id: id(number),
        parent_id: (!is_build).then(|| id(1)),
        name: format!("span {number}").into(),
        op: if is_build {
            ops::BUILD.into()
        } else {
            ops::EVENT_SEND.into()
        },
        kind: Default::default(),
        start: Timestamp::from_nanos(1_769_852_096_789_000_000 + number),
        end: Timestamp::from_nanos(1_769_852_096_789_100_000 + number),
        status: Default::default(),
        pending: false,
        event: (!is_build).then(keys),
        attributes: Vec::new(),
        links: Default::default(),
        events: Vec::new(),
        trace_state: Text::EMPTY,
        resource: Arc::default(),
    }
}

/// Stores this many spans, each first as unfinished.
pub(crate) fn store(house: &House, count: u64) {
    for finished in [false, true] {
        let spans: Vec<_> = (1..=count)
            .map(|number| Span {
                pending: !finished,
                ..span(number)
            })
            .collect();
        house.traces.append(&spans, Durability::Buffered).unwrap();
    }
}

/// The spans of an answer in OTLP, sorted, and what it says of their total.
async fn spans(house: &House, query: &str) -> (Vec<Span>, String) {
    let path = format!("/api/traces/{TRACE}?format=otlp{query}");
    let response = house
        .admin(reqwest::Method::GET, &path)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let total = response.headers()[TOTAL].to_str().unwrap().to_owned();
    let body = response.bytes().await.unwrap();
    let mut spans = Vec::new();
    from_request(decode_json(&body).unwrap(), &mut spans);
    spans.sort_by_key(|span| (span.start, span.span_id));
    (spans, total)
}

#[tokio::test]
async fn a_whole_trace_is_one_document_with_every_span_once() {
    let house = house().await;
    store(&house, 5_000);
    let (whole, total) = spans(&house, "").await;
    assert_eq!(total, "5000");
    assert!(
        whole == house.spans(TRACE),
        "the document has other spans than the store"
    );
}

#[tokio::test]
async fn a_limit_is_kept_in_every_form_and_the_total_is_told() {
    let house = house().await;
    store(&house, 300);
    let (part, total) = spans(&house, "&limit=10").await;
    assert_eq!(total, "300");
    assert_eq!(part, (1..=10).map(span).collect::<Vec<_>>());

    let get = async |query: &str| house.get(&format!("/api/traces/{TRACE}?{query}")).await;
    let (_, tree) = get("limit=10").await;
    assert_eq!(
        (&tree["total"], &tree["summary"]["spans"]),
        (&json!(300), &json!(10))
    );
    assert_eq!(tree["spans"].as_array().unwrap().len(), 10);
    let (_, path) = get("format=path&limit=10").await;
    assert_eq!((&path["total"], &path["spans"]), (&json!(300), &json!(10)));
    // Of the whole, since a part cannot tell what is missing.
    assert_eq!(
        (&path["events"], &path["gapCount"]),
        (&json!(299), &json!(299))
    );
    let (_, outline) = get("format=outline&limit=10").await;
    assert_eq!(
        (&outline["total"], &outline["missing"]["leftOut"]),
        (&json!(300), &json!(290))
    );
    assert_eq!(outline["spans"]["id"].as_array().unwrap().len(), 10);
    let (_, summary) = get("format=summary").await;
    assert_eq!(
        (&summary["total"], &summary["pending"]),
        (&json!(300), &json!(0))
    );
    assert_eq!(summary["settled"], false);
    for limit in ["0", "100001", "-1", "x"] {
        let (status, body) = get(&format!("limit={limit}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    for format in ["tree", "otlp", "path", "summary", "outline"] {
        let other = format!("/api/traces/{}?format={format}", "1".repeat(32));
        let (status, body) = house.get(&other).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found"))
        );
    }
}

/// A store that notes how it is read.
struct Watched {
    /// Reads go on two by two.
    pair: Barrier,
    reading: AtomicUsize,
    most: AtomicUsize,
    largest: AtomicUsize,
    broken_off: AtomicBool,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pair: Barrier::new(2),
            reading: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            largest: AtomicUsize::new(0),
            broken_off: AtomicBool::new(false),
        })
    }
}

impl TraceStore for Watched {
    fn trace(&self, _: TraceId, limit: usize) -> Result<Trace, TracesError> {
        let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(reading, Ordering::SeqCst);
        self.largest.fetch_max(limit, Ordering::SeqCst);
        self.pair.wait();
        self.reading.fetch_sub(1, Ordering::SeqCst);
        let spans = vec![span(1)];
        Ok(Trace {
            spans,
            total: 1_000_000,
        })
    }

    /// A trace without end.
    fn for_each(
        &self,
        _: TraceId,
        visit: &mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        let spans: Vec<_> = (1..=100).map(span).collect();
        let part = || Part {
            spans: &spans,
            total: u64::MAX,
        };
        while visit(part()).is_continue() {}
        self.broken_off.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn for_each_stored(
        &self,
        _: TraceId,
        _: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        Ok(())
    }

    fn span(&self, _: TraceId, id: SpanId) -> Result<Option<Span>, TracesError> {
        Ok(Some(span(1)).filter(|span| span.span_id == id))
    }

    fn for_all(&self, _: &mut dyn FnMut(&[Span]) -> ControlFlow<()>) -> Result<(), TracesError> {
        Ok(())
    }

    fn overview(&self, _: TraceId) -> Result<Option<Overview>, TracesError> {
        Ok(Some(Overview::default()))
    }

    fn append(&self, _: &[Span], _: Durability) -> Result<Appended, TracesError> {
        Ok(Appended::default())
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn flush(&self) -> Result<(), TracesError> {
        Ok(())
    }

    fn close(&self) -> Result<(), TracesError> {
        Ok(())
    }
}

#[tokio::test]
async fn no_more_than_two_traces_are_read_at_once_and_none_without_a_limit() {
    let house = house().await;
    let watched = Watched::new();
    let server = house.another(Arc::clone(&watched) as _).await;
    let url = format!("http://{}/api/traces/{TRACE}", server.address());
    let ask = |_| {
        let request = house.client.get(&url).bearer_auth(ADMIN);
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    };
    let asked: Vec<_> = (0..6).map(ask).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert_eq!(watched.most.load(Ordering::SeqCst), 2);
    assert_eq!(watched.largest.load(Ordering::SeqCst), 20_000);
}

#[tokio::test]
async fn a_trace_is_read_no_further_once_its_client_has_gone() {
    let house = house().await;
    let watched = Watched::new();
    let server = house.another(Arc::clone(&watched) as _).await;
    let url = format!("http://{}/api/traces/{TRACE}?format=otlp", server.address());
    let request = house.client.get(&url).bearer_auth(ADMIN);
    let mut response = request.send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert!(!watched.broken_off.load(Ordering::SeqCst));
    drop(response);
    until(async || watched.broken_off.load(Ordering::SeqCst).then_some(())).await;
}
