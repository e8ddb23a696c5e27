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
use crate::otlp::{PATH, Transport};
use crate::pipeline::Pipeline;
use crate::sampling::Sampler;
use crate::sentry::SentryOptions;
use crate::tracer::Tracer;
use hopline_wire::Timestamp;
use hopline_wire::span::Attribute;
use hopline_wire::{otlp, secret::Secret};

/// An endpoint that answers with the given statuses in turn, then with 200, and keeps what it took.
#[derive(Default)]
struct Collector {
    answers: Mutex<VecDeque<u16>>,
    taken: Mutex<Vec<Span>>,
    bearers: Mutex<Vec<String>>,
    /// What the next answer says.
    says: Mutex<Vec<u8>>,
}

async fn take(
    State(endpoint): State<Arc<Collector>>,
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

async fn endpoint(answers: &[u16]) -> (Arc<Collector>, SocketAddr) {
    let endpoint = Arc::new(Collector::default());
    endpoint.answers.lock().extend(answers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route(PATH, post(take))
        .with_state(Arc::clone(&endpoint));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, address)
}

fn exporter(address: SocketAddr, queue_bytes: usize) -> (Arc<Exporter>, ExportTask) {
    let url = format!("http://{address}{PATH}");
    started(otlp_at(url, Some(Secret::new("key"))), queue_bytes, None)
}

fn otlp_at(url: String, bearer: Option<Secret>) -> Endpoint {
    Endpoint::Otlp(OtlpOptions {
        url,
        transport: Transport::Http,
        bearer,
    })
}

fn started(
    endpoint: Endpoint,
    queue_bytes: usize,
    spool: Option<Spool>,
) -> (Arc<Exporter>, ExportTask) {
    let options = ExportOptions {
        endpoint,
        queue_bytes,
        spool,
    };
    Exporter::start(options, http::client_builder().build().unwrap())
}

fn some_spans(count: usize) -> Vec<Span> {
    let (pipeline, _thread) = Pipeline::start(Vec::new(), 0).unwrap();
    let tracer = Tracer::new(pipeline, "test", "1");
    let context = TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "x", None);
    (0..count)
        .map(|_| tracer.begin(Hop::SendEvent, "ack", &context, Timestamp::now()))
        .collect()
}

fn stats(exported: u64, lost: u64) -> ExportStats {
    ExportStats {
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
async fn a_batch_at_which_the_endpoint_fails_holds_up_the_others_for_a_while_only() {
    let (endpoint, address) = endpoint(&[503; 4]).await;
    let (exporter, task) = exporter(address, 1 << 20);
    let spans = some_spans(3);
    for one in spans.chunks(1) {
        exporter.take(one).unwrap();
    }
    assert!(task.stop(soon()).await);
    let ids = |spans: &[Span]| spans.iter().map(|span| span.span_id).collect::<Vec<_>>();
    let last_first = [&spans[1..], &spans[..1]].concat();
    assert_eq!(ids(&endpoint.taken.lock()), ids(&last_first));
    assert_eq!(exporter.stats(), stats(3, 0));
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
async fn all_sent(exporter: &Exporter) {
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

#[tokio::test]
async fn what_there_is_no_room_for_waits_on_disk_and_is_sent_by_the_next_process_too() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, address) = endpoint(&[503; 1_000]).await;
    let url = format!("http://{address}{PATH}");
    let to = || otlp_at(url.clone(), None);
    let spool = || Spool::open(folder.path().join("otlp"), 1 << 20).unwrap();
    let (exporter, task) = started(to(), 1, Some(spool()));
    let spans = some_spans(5);
    // There is room for nothing in memory.
    exporter.take(&spans[..2]).unwrap();
    exporter.take(&spans[2..]).unwrap();
    assert_eq!(exporter.stats().waiting, 5);
    assert!(task.stop(Instant::now()).await, "nothing is lost");
    assert_eq!((exporter.stats().waiting, exporter.stats().lost), (5, 0));
    drop(exporter);

    endpoint.answers.lock().clear();
    let (exporter, task) = started(to(), 1 << 20, Some(spool()));
    let deadline = soon();
    while exporter.stats().exported < 5 {
        assert!(Instant::now() < deadline, "{:?}", exporter.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(task.stop(deadline).await);
    let ids = |spans: &[Span]| spans.iter().map(|span| span.span_id).collect::<Vec<_>>();
    assert_eq!(ids(&endpoint.taken.lock()), ids(&spans));
    assert_eq!(exporter.stats(), stats(5, 0));
    let left = std::fs::read_dir(folder.path().join("otlp"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "what was sent is removed");
}

#[tokio::test]
async fn what_waits_in_memory_at_the_end_is_kept_on_disk_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let (_endpoint, address) = endpoint(&[503; 1_000]).await;
    let url = format!("http://{address}{PATH}");
    let to = otlp_at(url, None);
    let spool = Spool::open(folder.path().to_owned(), 600).unwrap();
    let (exporter, task) = started(to, 1 << 20, Some(spool));
    exporter.take(&some_spans(1)).unwrap();
    exporter.take(&some_spans(1)).unwrap();
    exporter.take(&some_spans(1)).unwrap();
    assert!(!task.stop(Instant::now()).await, "there is no room for all");
    let stats = exporter.stats();
    assert!(
        stats.waiting > 0 && stats.lost > 0 && stats.waiting + stats.lost == 3,
        "{stats:?}"
    );
    let bytes: u64 = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 600, "{bytes}");
}

/// An envelope as it came: its header, and each item's header and payload.
type Envelope = (
    serde_json::Value,
    Vec<(serde_json::Value, serde_json::Value)>,
);

#[derive(Default)]
struct Project {
    envelopes: Mutex<Vec<Envelope>>,
    auths: Mutex<Vec<String>>,
    /// What the next answers ask to be held back.
    limits: Mutex<VecDeque<(u16, &'static str)>>,
    times: Mutex<Vec<std::time::Instant>>,
}

async fn take_envelope(
    State(project): State<Arc<Project>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    project.times.lock().push(std::time::Instant::now());
    let mut answered = HeaderMap::new();
    let mut status = 200;
    if let Some((says, limits)) = project.limits.lock().pop_front() {
        answered.insert("x-sentry-rate-limits", limits.parse().unwrap());
        status = says;
    }
    if status == 200 {
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_string(&mut plain)
            .unwrap();
        let mut lines = plain
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let header = lines.next().unwrap();
        let lines: Vec<serde_json::Value> = lines.collect();
        let items = lines
            .chunks(2)
            .map(|item| (item[0].clone(), item[1].clone()));
        project.envelopes.lock().push((header, items.collect()));
        let auth = headers["x-sentry-auth"].to_str().unwrap();
        project.auths.lock().push(auth.to_owned());
    }
    (StatusCode::from_u16(status).unwrap(), answered)
}

async fn project() -> (Arc<Project>, SentryOptions) {
    let project = Arc::new(Project::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/api/7/envelope/", post(take_envelope))
        .with_state(Arc::clone(&project));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let options = SentryOptions {
        url: format!("http://{address}/api/7/envelope/"),
        public_key: "abc".into(),
        head: Head {
            environment: Some("test".into()),
            ..Head::default()
        },
        heads: crate::Heads::default(),
    };
    (project, options)
}

#[tokio::test]
async fn sentry_gets_one_trace_in_an_envelope_with_what_its_head_said() {
    let (project, options) = project().await;
    let (pipeline, _thread) = Pipeline::start(Vec::new(), 0).unwrap();
    let tracer = Tracer::new(pipeline, "test", "1").noting(options.heads.clone());
    let head = Head {
        public_key: Some("of-the-head".into()),
        release: Some("shop@1".into()),
        ..Head::default()
    };
    let known = TraceContext::new_trace(&Sampler::new(1.0), &head, "POST /build", None);
    let span =
        |context: &TraceContext| tracer.begin(Hop::SendEvent, "ack", context, Timestamp::now());
    let mut spans: Vec<_> = (0..1_001).map(|_| span(&known)).collect();
    let mut unfinished = span(&known);
    unfinished.pending = true;
    spans.push(unfinished);
    spans.extend(some_spans(1));
    let (exporter, task) = started(Endpoint::Sentry(options), 1 << 20, None);
    exporter.take(&spans).unwrap();
    assert!(task.stop(soon()).await);
    assert_eq!(exporter.stats(), stats(1_002, 0));
    let envelopes = project.envelopes.lock();
    let counts: Vec<_> = envelopes
        .iter()
        .map(|(_, items)| (items.len(), items[0].1["items"].as_array().unwrap().len()))
        .collect();
    assert_eq!(counts, [(1, 1_000), (1, 1), (1, 1)]);
    for (header, _) in &envelopes[..2] {
        let trace = &header["trace"];
        assert_eq!(trace["trace_id"], known.trace_id.to_string());
        assert_eq!(trace["public_key"], "of-the-head");
        assert_eq!(trace["transaction"], "POST /build");
        assert_eq!(
            (&trace["release"], &trace["sampled"]),
            (&"shop@1".into(), &"true".into())
        );
    }
    let unknown = &envelopes[2].0["trace"];
    assert_eq!(unknown["trace_id"], spans[1_002].trace_id.to_string());
    assert_eq!(
        (&unknown["public_key"], &unknown["environment"]),
        (&"abc".into(), &"test".into())
    );
    let auth = project.auths.lock()[0].clone();
    assert!(
        auth.starts_with("Sentry sentry_version=7, ") && auth.ends_with("sentry_key=abc"),
        "{auth}"
    );
}

#[tokio::test]
async fn an_envelope_for_sentry_is_no_larger_than_it_may_be() {
    let (project, options) = project().await;
    let mut spans = some_spans(20);
    let long = "x".repeat(1 << 20);
    for span in &mut spans {
        span.attributes.push(Attribute::new("long", long.clone()));
    }
    let (exporter, task) = started(Endpoint::Sentry(options), 1 << 20, None);
    exporter.take(&spans).unwrap();
    assert!(task.stop(soon()).await);
    assert_eq!(exporter.stats(), stats(20, 0));
    let envelopes = project.envelopes.lock();
    let counts = envelopes.iter().map(|(_, items)| {
        let spans = items[0].1["items"].as_array().unwrap();
        spans.len()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [5, 5, 5, 5]);
}

#[tokio::test]
async fn a_failed_build_is_an_error_at_sentry_and_a_cancelled_one_is_none() {
    let (project, options) = project().await;
    let mut spans = some_spans(3);
    for (span, code) in spans
        .iter_mut()
        .zip(["exit_code", "cancelled", "exit_code"])
    {
        span.op = hopline_wire::ops::RUNNER_COMMAND.into();
        span.name = Hop::HandleCommand.named("start-build");
        crate::tracer::fail(span, code, "the command ended with 3", span.start);
    }
    spans[2].name = Hop::HandleCommand.named("read-file");
    let (exporter, task) = started(Endpoint::Sentry(options), 1 << 20, None);
    exporter.take(&spans).unwrap();
    assert!(task.stop(soon()).await);
    let envelopes = project.envelopes.lock();
    let errors: Vec<_> = envelopes
        .iter()
        .flat_map(|(header, items)| items.iter().map(move |item| (header, item)))
        .filter(|(_, (item, _))| item["type"] == "event")
        .collect();
    assert_eq!(errors.len(), 1);
    let (header, (_, event)) = errors[0];
    assert_eq!(header["event_id"], event["event_id"]);
    assert_eq!(
        event["contexts"]["trace"]["trace_id"],
        spans[0].trace_id.to_string()
    );
    assert_eq!(
        event["contexts"]["trace"]["span_id"],
        spans[0].span_id.to_string()
    );
    let exception = &event["exception"]["values"][0];
    assert_eq!(
        (&exception["type"], &exception["value"]),
        (&"exit_code".into(), &"the command ended with 3".into())
    );
    assert_eq!(exporter.stats(), stats(3, 0), "an error is no span");
}

#[tokio::test]
async fn what_sentry_asks_to_be_held_back_is_held_back_and_not_lost() {
    let (project, options) = project().await;
    project
        .limits
        .lock()
        .extend([(429, "1:span:key"), (200, "1::key")]);
    let (exporter, task) = started(Endpoint::Sentry(options), 1 << 20, None);
    exporter.take(&some_spans(1)).unwrap();
    exporter.take(&some_spans(1)).unwrap();
    assert!(task.stop(soon()).await);
    assert_eq!(exporter.stats(), stats(2, 0));
    let times = project.times.lock();
    assert_eq!(times.len(), 3);
    for pair in times.windows(2) {
        assert!(
            pair[1] - pair[0] >= Duration::from_secs(1),
            "it was asked for a second"
        );
    }
}

#[tokio::test]
async fn an_end_does_not_wait_for_what_is_on_disk_and_takes_nothing_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_endpoint, address) = endpoint(&[503; 10_000]).await;
    let url = format!("http://{address}{PATH}");
    let to = otlp_at(url, None);
    let spool = Spool::open(folder.path().to_owned(), 1 << 20).unwrap();
    let (exporter, task) = started(to, 1, Some(spool));
    exporter.take(&some_spans(2)).unwrap();
    exporter.take(&some_spans(3)).unwrap();
    // The endpoint is asked again and again for the first of them, which is on disk.
    let never = Instant::now() + Duration::from_secs(3_600);
    let stopped = tokio::time::timeout(Duration::from_secs(20), task.stop(never)).await;
    assert_eq!(stopped, Ok(true));
    exporter.take(&some_spans(4)).unwrap();
    let stats = exporter.stats();
    assert_eq!(
        (stats.waiting, stats.lost),
        (9, 0),
        "what comes late is kept as well"
    );
}
