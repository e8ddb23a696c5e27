use std::io::Read as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::*;
use crate::context::{Head, TraceContext};
use crate::contract::Hop;
use crate::http;
use crate::pipeline::Pipeline;
use crate::sampling::Sampler;
use crate::tracer::Tracer;
use hopline_wire::Timestamp;

/// An endpoint that answers with the given statuses in turn, then with 200, and keeps what it took.
#[derive(Default)]
struct Endpoint {
    answers: Mutex<VecDeque<u16>>,
    taken: Mutex<Vec<Span>>,
    bearers: Mutex<Vec<String>>,
    /// What the next answer says.
    says: Mutex<Vec<u8>>,
}

async fn take(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let answer = endpoint.answers.lock().pop_front().unwrap_or(200);
    if answer == 200 {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .unwrap();
        let refused = otlp::from_request(otlp::decode(&plain).unwrap(), &mut endpoint.taken.lock());
        assert!(refused.is_empty());
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        endpoint
            .bearers
            .lock()
            .push(bearer.unwrap_or_default().to_owned());
    }
    let body = std::mem::take(&mut *endpoint.says.lock());
    (StatusCode::from_u16(answer).unwrap(), body)
}

async fn endpoint(answers: &[u16]) -> (Arc<Endpoint>, SocketAddr) {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.answers.lock().extend(answers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route(PATH, post(take))
        .with_state(Arc::clone(&endpoint));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, address)
}

fn exporter(address: SocketAddr, queue_bytes: usize) -> (Arc<OtlpExporter>, OtlpTask) {
    let url = format!("http://{address}{PATH}");
    let options = OtlpOptions {
        url,
        bearer: Some(Secret::new("key")),
        queue_bytes,
    };
    OtlpExporter::start(options, http::client_builder().build().unwrap())
}

fn some_spans(count: usize) -> Vec<Span> {
    let (pipeline, _thread) = Pipeline::start(Vec::new(), 0).unwrap();
    let tracer = Tracer::new(pipeline, "test", "1");
    let context = TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "x", None);
    (0..count)
        .map(|_| tracer.begin(Hop::SendEvent, "ack", &context, Timestamp::now()))
        .collect()
}

fn stats(exported: u64, lost: u64) -> OtlpStats {
    OtlpStats {
        exported,
        lost,
        waiting: 0,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn batches_arrive_in_order_whatever_the_endpoint_answers_at_first() {
    let (endpoint, address) = endpoint(&[503, 429]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    let spans = some_spans(6);
    exporter.take(&spans[..3]).unwrap();
    exporter.take(&spans[3..]).unwrap();
    assert!(task.stop(soon()).await);
    let ids = |spans: &[Span]| spans.iter().map(|span| span.span_id).collect::<Vec<_>>();
    assert_eq!(ids(&endpoint.taken.lock()), ids(&spans));
    assert_eq!(*endpoint.bearers.lock(), ["Bearer key", "Bearer key"]);
    assert_eq!(exporter.stats(), stats(6, 0));
}

#[tokio::test]
async fn a_batch_that_the_endpoint_refuses_is_counted_and_holds_up_nothing() {
    let (endpoint, address) = endpoint(&[400]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    exporter.take(&some_spans(2)).unwrap();
    exporter.take(&some_spans(1)).unwrap();
    assert!(task.stop(soon()).await);
    assert_eq!(endpoint.taken.lock().len(), 1);
    assert_eq!(exporter.stats(), stats(1, 2));
}

/// Waits until nothing waits for the endpoint.
async fn all_sent(exporter: &OtlpExporter) {
    let deadline = soon();
    while exporter.stats().waiting > 0 {
        assert!(Instant::now() < deadline, "{:?}", exporter.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_an_endpoint_refused_is_told_of_on_its_trace_with_the_next_batch_it_takes() {
    let (endpoint, address) = endpoint(&[401, 401]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    let (first, second, third) = (some_spans(3), some_spans(2), some_spans(1));
    for spans in [&first, &second, &third] {
        exporter.take(spans).unwrap();
        all_sent(&exporter).await;
    }
    assert!(task.stop(soon()).await);
    assert_eq!(exporter.stats(), stats(1, 5));
    let taken = endpoint.taken.lock();
    let mut told: Vec<_> = taken
        .iter()
        .filter(|span| span.name.to_string() == hopline_wire::span::DROPPED)
        .map(|span| (span.trace_id, span.attribute("hopline.dropped_spans")))
        .collect();
    told.sort_by_key(|(trace_id, _)| *trace_id != first[0].trace_id);
    let count = |count: i64| Some(hopline_wire::span::Value::Int(count));
    let expected = [
        (first[0].trace_id, count(3)),
        (second[0].trace_id, count(2)),
    ];
    assert_eq!(told, expected);
    assert_eq!(taken.len(), 3, "the told ones and the third batch");
}

#[tokio::test]
async fn what_an_endpoint_rejects_of_a_batch_is_counted() {
    let (endpoint, address) = endpoint(&[]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    // partial_success (1), a message: rejected_spans (1) = 2, error_message (2) = "no".
    *endpoint.says.lock() = vec![0x0a, 6, 0x08, 2, 0x12, 2, b'n', b'o'];
    exporter.take(&some_spans(5)).unwrap();
    all_sent(&exporter).await;
    assert_eq!(exporter.stats(), stats(3, 2));
    *endpoint.says.lock() = b"no protobuf".to_vec();
    exporter.take(&some_spans(5)).unwrap();
    assert!(task.stop(soon()).await);
    assert_eq!(exporter.stats(), stats(8, 2));
}

#[tokio::test]
async fn what_waits_when_its_time_is_over_is_counted_as_lost() {
    let (_endpoint, address) = endpoint(&[503; 100]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    exporter.take(&some_spans(4)).unwrap();
    assert_eq!(exporter.stats().waiting, 4);
    assert!(!task.stop(Instant::now()).await);
    assert_eq!(exporter.stats(), stats(0, 4));
}

#[tokio::test]
async fn a_full_queue_hands_the_spans_back() {
    let (_endpoint, address) = endpoint(&[]).await;
    let (exporter, task) = exporter(address, 10);
    assert!(matches!(
        exporter.take(&some_spans(1)),
        Err(SinkError::Full)
    ));
    assert!(task.stop(soon()).await);
}
