//! What bad input gets: a clear answer, on the right channel, and nothing else is lost or blocked.

use std::time::Duration;

use axum::http::StatusCode;
use hopline_state::Page;
use hopline_wire::span::SpanStatus;
use reqwest::Method;
use serde_json::{Value, json};

use crate::builds::start;
use crate::support::{House, RUNNER, answer, broker, event, house, house_with, part};

/// A command that the server never gave, in a project that is there.
async fn command(house: &House, id: &str) -> Value {
    let project = house.project("p").await;
    json!({"id": id, "projectId": project})
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_as_a_whole() {
    let house = house().await;
    let too_many = format!("[{}]", vec!["{}"; 1_001].join(","));
    let too_large = format!("[{{\"type\":\"x\",\"data\":\"{}\"}}]", "x".repeat(9 << 20));
    for (body, status, code) in [
        (String::new(), 400, "bad_batch"),
        ("nonsense".into(), 400, "bad_batch"),
        ("5".into(), 400, "bad_batch"),
        ("[1,2]".into(), 400, "bad_batch"),
        ("[{},".into(), 400, "bad_batch"),
        ("{\"a\":\"\u{1}\"}".into(), 400, "bad_batch"),
        (too_many, 413, "too_large"),
        (too_large, 413, "too_large"),
    ] {
        let begin: String = body.chars().take(20).collect();
        let (got, answer) = house.ingest(body).await;
        assert_eq!(got.as_u16(), status, "{begin}: {answer}");
        assert_eq!(answer["code"], code, "{begin}");
        assert!(answer["error"].is_string());
    }
    let invalid_utf8 = [b"[{\"type\":\"".as_slice(), &[0xff], b"\"}]"].concat();
    assert_eq!(house.ingest(invalid_utf8).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_everything_before_reading_gets_the_answer_too() {
    use std::io::{Read, Write};
    let house = house().await;
    let address = house.server.address();
    let exchange = move |secret: &str, body: &[u8]| {
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let deadline = Some(Duration::from_secs(20));
        client.set_read_timeout(deadline).unwrap();
        client.set_write_timeout(deadline).unwrap();
        let head = format!(
            "POST /api/runner/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(body).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let exchanges = tokio::task::spawn_blocking(move || {
        let body = vec![b' '; 9 << 20];
        for _ in 0..5 {
            let answer = exchange(RUNNER, &body);
            assert!(
                answer.starts_with("HTTP/1.1 413 ") && answer.contains("too_large"),
                "{answer}"
            );
            let answer = exchange("wrong", &body);
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        }
    });
    exchanges.await.unwrap();
}

#[tokio::test]
async fn who_asks_before_sending_a_large_body_is_spared_sending_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let house = house().await;
    let mut client = tokio::net::TcpStream::connect(house.server.address())
        .await
        .unwrap();
    let head = format!(
        "POST /api/runner/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {RUNNER}\r\n\
         Expect: 100-continue\r\nContent-Length: 9437184\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_large_body_without_a_length_is_refused_too() {
    let house = house().await;
    let chunks = (0..9).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
    let request = house
        .bare(Method::POST, "/api/runner/events")
        .bearer_auth(RUNNER)
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(
            chunks,
        )));
    let (status, body) = answer(request).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large"))
    );
}

#[tokio::test]
async fn a_bad_event_is_refused_alone_and_uses_up_its_place() {
    let house = house().await;
    let command = command(&house, "c").await;
    let too_large = json!({"data": format!("data: {}\n\n", json!({"type": "text-delta", "id": "a", "delta": "x".repeat(1 << 20)}))});
    let no_project = json!({"type": "ack", "commandId": "c", "seq": 6});
    let events = json!([
        event("ack", &command, 1, json!({})),
        event("build-stream", &command, 2, json!({"data": 5})),
        part(
            &command,
            3,
            json!({"type": "text-delta", "id": "a", "delta": 5})
        ),
        event("of-tomorrow", &command, 4, json!({"new": [1]})),
        event("build-stream", &command, 5, too_large),
        no_project,
        event(
            "build-stream",
            &command,
            7,
            json!({"data": "data: {\"type\":\"text-delta\",\"id\":\"a\",\"delta\":\"\\u0000\\ud800\"}\n\n"})
        ),
        event("ack", &command, 8, json!({"timestamp": 5})),
    ]);
    let (status, reply) = house.ingest(events.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert_eq!(reply["acked"]["c"], 8, "{reply}");
    let rejected: Vec<(u64, &str)> = reply["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rejection| {
            (
                rejection["seq"].as_u64().unwrap(),
                rejection["code"].as_str().unwrap(),
            )
        })
        .collect();
    for expected in [
        (3, "bad_part"),
        (5, "too_large"),
        (6, "no_project"),
        (8, "bad_event"),
    ] {
        assert!(rejected.contains(&expected), "{expected:?} in {rejected:?}");
    }
    assert!(rejected.iter().any(|(seq, _)| *seq == 2));
    assert!(
        !rejected.iter().any(|(seq, _)| [1, 4, 7].contains(seq)),
        "{rejected:?}"
    );
    let (_, text) = metrics(&house).await;
    let processed = text
        .lines()
        .filter(|line| line.starts_with("events_processed_total{part_type="));
    let counts = processed.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 8, "{text}");
    assert!(text.contains("persistence_duration_seconds"));
}

async fn metrics(house: &House) -> (StatusCode, String) {
    let response = house.admin(Method::GET, "/metrics").send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    (status, response.text().await.unwrap())
}

#[tokio::test]
async fn what_no_row_can_hold_arrives_as_the_replacement_character() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let (started, command) = start(&house, &broker, &project).await;
    // As the bytes of the event have it: an escape of the part inside, or of the event around it.
    let cases = [
        (r"a\\u0000b", "a\u{fffd}b"),
        (r"a\\ud800b", "a\u{fffd}b"),
        (r"a\\udc00\\ud800b", "a\u{fffd}\u{fffd}b"),
        (r"a\ud800b", "a\u{fffd}b"),
        (r"a\u0000b", "a\u{fffd}b"),
        (r"a\\ud83d\\ude00b", "a\u{1f600}b"),
        (r"a\ud83d\ude00b", "a\u{1f600}b"),
    ];
    for (seq, (delta, _)) in (1..).zip(cases) {
        let event = event("build-stream", &command, seq, json!({"data": "DATA"}));
        let part = format!(
            r#"data: {{\"type\":\"text-delta\",\"id\":\"t{seq}\",\"delta\":\"{delta}\"}}\n\n"#
        );
        let (status, reply) = house.ingest(event.to_string().replace("DATA", &part)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(reply["rejected"], json!([]), "{delta}");
    }
    let session = started["sessionId"].as_str().unwrap().parse().unwrap();
    let notes = house.store.notes(session, None, Page::default()).await;
    let stored: Vec<_> = notes
        .unwrap()
        .into_iter()
        .map(|note| note.content)
        .collect();
    assert_eq!(stored, cases.map(|(_, text)| text));
}

#[tokio::test]
async fn a_gap_is_told_and_the_events_before_it_are_settled() {
    let house = house().await;
    let command = command(&house, "c").await;
    let events = json!([
        event("ack", &command, 1, json!({})),
        event("ack", &command, 3, json!({}))
    ]);
    let (status, reply) = house.ingest(events.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&reply["acked"]["c"], &reply["gaps"]["c"]),
        (&json!(1), &json!(2))
    );
    let (status, reply) = house
        .ingest(event("ack", &command, 5, json!({})).to_string())
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "{reply}");
    assert_eq!(reply["gaps"]["c"], 2);
}

#[tokio::test]
async fn an_event_sent_twice_changes_nothing() {
    let house = house().await;
    let command = command(&house, "c").await;
    let body = json!([
        event("ack", &command, 1, json!({})),
        event("ack", &command, 2, json!({}))
    ]);
    for _ in 0..2 {
        let (status, reply) = house.ingest(body.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&reply["ok"], &reply["acked"]["c"]),
            (&json!(true), &json!(2))
        );
    }
    let (_, text) = metrics(&house).await;
    assert!(text.contains("outcome=\"duplicate\""), "{text}");
}

#[tokio::test]
async fn each_command_is_judged_alone() {
    let house = house().await;
    let one = command(&house, "one").await;
    let two = command(&house, "two").await;
    let events = json!([
        event("ack", &one, 2, json!({})),
        event("ack", &two, 1, json!({})),
    ]);
    let (status, reply) = house.ingest(events.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&reply["acked"]["two"], &reply["gaps"]["one"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn a_malformed_carrier_never_fails_its_event_and_is_counted() {
    let house = house().await;
    let command = command(&house, "c").await;
    let many = (0..200)
        .map(|n| format!("k{n}=v"))
        .collect::<Vec<_>>()
        .join(",");
    let good = "771a43a4192642f0b136d5159a501700-b7ad6b7169203331-1";
    let carriers = [
        json!(5),
        json!({"trace": "nonsense"}),
        json!({"trace": 5}),
        json!({"trace": good, "baggage": []}),
        json!({"trace": good, "baggage": many}),
        Value::Null,
    ];
    let events: Vec<Value> = (1..)
        .zip(&carriers)
        .map(|(seq, carrier)| {
            let mut event = part(&command, seq, json!({"type": "finish"}));
            event["_sentry"] = carrier.clone();
            event
        })
        .chain([(7, "ack"), (8, "build-progress")].map(|(seq, untraced)| {
            let mut event = event(untraced, &command, seq, json!({"payload": {}}));
            event["_sentry"] = json!({"trace": "nonsense"});
            event
        }))
        .collect();
    let (status, reply) = house.ingest(json!(events).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&reply["acked"]["c"], &reply["rejected"]),
        (&json!(8), &json!([]))
    );
    let (_, text) = metrics(&house).await;
    assert!(text.contains("hopline_bad_carriers_total 6"), "{text}");
    assert!(
        !house.spans(&good[..32]).is_empty(),
        "the one with much baggage is traced"
    );
}

#[tokio::test]
async fn the_headers_win_over_the_carrier_of_a_single_event_alone() {
    let house = house().await;
    let command = command(&house, "c").await;
    let header = "11111111111111111111111111111111-1111111111111111-1";
    let carrier = "22222222222222222222222222222222-2222222222222222-1";
    let mut event = part(&command, 1, json!({"type": "finish"}));
    event["_sentry"] = json!({"trace": carrier});
    let post = |body: Value| {
        let request = house
            .bare(Method::POST, "/api/runner/events")
            .bearer_auth(RUNNER)
            .header("sentry-trace", header);
        answer(request.body(body.to_string()))
    };
    post(event.clone()).await;
    assert!(!house.spans(&header[..32]).is_empty() && house.spans(&carrier[..32]).is_empty());
    event["seq"] = 2.into();
    post(json!([event])).await;
    assert!(!house.spans(&carrier[..32]).is_empty());
}

#[tokio::test]
async fn the_span_of_an_event_without_a_number_has_the_one_it_was_given_and_fails_if_it_was_refused()
 {
    let house = house().await;
    let command = command(&house, "c").await;
    let trace = "44444444444444444444444444444444-4444444444444444-1";
    let events: Vec<_> = [
        json!({"type": "finish"}),
        json!({"type": 5}),
        json!({"type": "finish"}),
    ]
    .into_iter()
    .zip(1..)
    .map(|(of_part, place)| {
        let mut event = part(&command, place, of_part);
        event.as_object_mut().unwrap().remove("seq");
        event["link"] = "l".into();
        event["linkSeq"] = place.into();
        event["_sentry"] = json!({"trace": trace});
        event
    })
    .collect();
    let (_, reply) = house.ingest(json!(events).to_string()).await;
    assert_eq!(reply["rejected"][0]["seq"], 2, "{reply}");
    let spans = house.spans(&trace[..32]).into_iter();
    let mut told: Vec<_> = spans
        .filter(|span| span.name.to_string().starts_with("api.runner.events."))
        .map(|span| (span.event.unwrap().seq, span.status))
        .collect();
    told.sort_by_key(|(seq, _)| *seq);
    let told: Vec<_> = told
        .into_iter()
        .map(|(seq, status)| (seq, matches!(status, SpanStatus::Error(_))))
        .collect();
    assert_eq!(told, [(1, false), (2, true), (3, false)]);
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_makes_no_spans() {
    let house = house().await;
    let command = command(&house, "c").await;
    let trace = "33333333333333333333333333333333-3333333333333333-0";
    let mut event = part(&command, 1, json!({"type": "finish"}));
    event["_sentry"] = json!({"trace": trace});
    house.ingest(event.to_string()).await;
    assert!(house.spans(&trace[..32]).is_empty());
}

#[tokio::test]
async fn an_overloaded_server_hands_events_back() {
    let house = house_with(|options| options.ingest_bytes = 1_000).await;
    // A body that never ends holds the room that there is.
    let (held, body) = tokio::io::duplex(64);
    let stream = futures_util::stream::unfold(body, |body| async move {
        let mut body = body;
        let mut bytes = [0; 16];
        let read = tokio::io::AsyncReadExt::read(&mut body, &mut bytes)
            .await
            .ok()?;
        Some((Ok::<_, std::io::Error>(bytes[..read].to_vec()), body))
    });
    let hogging = house
        .bare(Method::POST, "/api/runner/events")
        .bearer_auth(RUNNER)
        .body(reqwest::Body::wrap_stream(stream));
    let hog = tokio::spawn(hogging.send());
    let answer = crate::support::until(|| async {
        let request = house
            .bare(Method::POST, "/api/runner/events")
            .bearer_auth(RUNNER)
            .body("{\"type\":\"ack\"}");
        let response = request.send().await.unwrap();
        (response.status().as_u16() == 429).then_some(response)
    })
    .await;
    assert!(answer.headers().contains_key("retry-after"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "overloaded");
    drop(held);
    hog.abort();
}

#[tokio::test]
async fn a_database_that_is_gone_is_told_as_such() {
    let house = house().await;
    let command = command(&house, "c").await;
    house.store.close().await;
    let ack = event("ack", &command, 1, json!({}));
    let request = house
        .bare(Method::POST, "/api/runner/events")
        .bearer_auth(RUNNER)
        .body(ack.to_string());
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let (status, body) = answer(house.bare(Method::GET, "/health")).await;
    assert_eq!(
        (status, &body["code"]),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            &json!("database_unavailable")
        )
    );
}

#[tokio::test]
async fn a_stopping_server_finishes_what_is_under_way() {
    let house = house().await;
    let address = house.server.address();
    let (status, _) = answer(house.bare(Method::GET, "/health")).await;
    assert_eq!(status, StatusCode::OK);
    let House { server, client, .. } = house;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    assert!(server.shutdown(deadline).await);
    let refused = client.get(format!("http://{address}/health")).send().await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let house = house().await;
    let address = house.server.address();
    let secret = || hopline_wire::secret::Secret::new("s");
    let secrets = hopline_server::Secrets {
        runner: secret(),
        admin: secret(),
        ingest: secret(),
        signing: None,
    };
    let pipeline = house.pipeline.clone();
    let parts = hopline_server::Parts {
        store: house.store.clone(),
        processor: house.processor.as_ref().unwrap().handle(),
        traces: house.traces.clone(),
        questions: None,
        console: &[],
        tracer: hopline_telemetry::Tracer::new(pipeline, "test", "1"),
        metrics: hopline_telemetry::metrics::Metrics::default(),
    };
    let options = hopline_server::Options::new(address, secrets);
    let error = hopline_server::Server::start(options, parts)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
