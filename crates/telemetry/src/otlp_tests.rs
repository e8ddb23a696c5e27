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
}

async fn take(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
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
    StatusCode::from_u16(answer).unwrap()
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
    assert_eq!((exporter.exported(), exporter.lost()), (6, 0));
}

#[tokio::test]
async fn a_batch_that_the_endpoint_refuses_is_counted_and_holds_up_nothing() {
    let (endpoint, address) = endpoint(&[400]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    exporter.take(&some_spans(2)).unwrap();
    exporter.take(&some_spans(1)).unwrap();
    assert!(task.stop(soon()).await);
    assert_eq!(endpoint.taken.lock().len(), 1);
    assert_eq!((exporter.exported(), exporter.lost()), (1, 2));
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
