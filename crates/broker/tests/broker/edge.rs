//! The broker's HTTP surface.

use hopline_broker::{Broker, BrokerError};
use hopline_telemetry::Tracer;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::pipeline::Pipeline;
use serde_json::{Value, json};

use crate::support::{Api, Fault, Knock, Runner, bearer, broker, event, http, options, start};

async fn get(
    broker: &crate::support::Started,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let (status, body) = http("GET", &broker.handle, path, headers, "").await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn every_surface_but_health_asks_for_the_secret() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    assert_eq!(get(&broker, "/health", &[]).await.0, 200);
    for path in ["/status", "/metrics"] {
        for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
            let (status, body) = get(&broker, path, headers).await;
            assert_eq!(
                (status, &body["code"]),
                (401, &json!("unauthorized")),
                "{path}"
            );
        }
        assert_eq!(get(&broker, path, &[bearer()]).await.0, 200);
    }
    for path in ["/commands", "/v1/traces"] {
        let (status, _) = http("POST", &broker.handle, path, &[], "{}").await;
        assert_eq!(status, 401, "{path}");
    }
    assert_eq!(get(&broker, "/nothing", &[bearer()]).await.0, 404);
}

#[tokio::test]
async fn web_pages_and_foreign_hosts_are_refused_everywhere() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.public_url = Some("https://broker.example.com".into());
    let broker = start(options).await;
    for path in ["/health", "/status", "/socket?runnerId=r"] {
        for origin in ["https://evil.example.com", "http://127.0.0.1:4701", "null"] {
            let (status, _) = get(&broker, path, &[bearer(), ("origin", origin)]).await;
            assert_eq!(status, 403, "{path} {origin}");
        }
        let (status, _) = get(&broker, path, &[bearer(), ("host", "evil.example.com")]).await;
        assert_eq!(status, 421, "{path}");
    }
    for host in [
        "localhost:1",
        "127.0.0.1",
        "[::1]:4701",
        "broker.example.com",
    ] {
        assert_eq!(
            get(&broker, "/health", &[("host", host)]).await.0,
            200,
            "{host}"
        );
    }
    let knock = Knock {
        headers: vec![("origin", "https://evil.example.com".into())],
        ..Knock::default()
    };
    assert!(Runner::knock(&broker.handle, "r", &knock).await.is_err());
}

#[tokio::test]
async fn commands_reach_their_runner_or_say_why_not() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let post = async |body: &str| {
        let (status, body) = http(
            "POST",
            &broker.handle,
            "/commands",
            &[bearer()],
            body.to_owned(),
        )
        .await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    let command = r#"{"id":"c","type":"read-file","slug":"s"}"#;
    let (status, body) = post(&format!(r#"{{"runnerId":"r","command":{command}}}"#)).await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)));
    assert_eq!(runner.next().await["slug"], "s");
    for bad in [
        "nonsense",
        "{}",
        r#"{"runnerId":"r"}"#,
        r#"{"runnerId":"r","command":5}"#,
        r#"{"runnerId":"r","command":{"type":"x"}}"#,
        r#"{"command":{"id":"c","type":"x"}}"#,
    ] {
        let (status, body) = post(bad).await;
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("bad_command")),
            "{bad}"
        );
    }
    let (status, body) = post(&format!(r#"{{"runnerId":"other","command":{command}}}"#)).await;
    assert_eq!(
        (status, &body["code"]),
        (503, &json!("runner_not_connected"))
    );
}

#[tokio::test]
async fn a_broker_that_listens_everywhere_reports_an_address_at_which_it_answers() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let api = Api::start().await;
        let mut options = options(&api);
        options.listen = listen.parse().unwrap();
        // A machine without IPv6 has no such address.
        let tracer = Tracer::new(
            Pipeline::start(Vec::new(), 1).unwrap().0,
            "hopline-broker",
            "test",
        );
        let Ok(broker) = Broker::start(options, tracer, Metrics::default()).await else {
            assert!(listen.starts_with('['), "cannot listen on {listen}");
            continue;
        };
        let port = broker.address().port();
        let url = format!("ws://127.0.0.1:{port}");
        let mut runner = Runner::knock_at(&url, "r", &Knock::default())
            .await
            .unwrap();
        crate::support::until(|| !api.reports().is_empty()).await;
        let reported = api.reports()[0]["brokerUrl"].as_str().unwrap().to_owned();
        assert_eq!(reported, format!("http://127.0.0.1:{port}"));
        // Told so by hand, the unspecified address is answered too.
        for base in [reported, format!("http://0.0.0.0:{port}")] {
            let posted = hopline_telemetry::http::client_builder()
                .build()
                .unwrap()
                .post(format!("{base}/commands"))
                .bearer_auth(crate::support::SECRET)
                .body(r#"{"runnerId":"r","command":{"id":"c","type":"start-build"}}"#)
                .send()
                .await
                .unwrap();
            assert_eq!(posted.status().as_u16(), 200, "{base}");
            assert_eq!(runner.next().await["id"], "c");
        }
    }
}

#[tokio::test]
async fn a_command_that_was_refused_as_busy_is_never_written() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.command_patience = std::time::Duration::from_millis(300);
    let broker = start(options).await;
    let post = async |id: &str, content: &str| {
        let command = json!({"id": id, "type": "write-file", "content": content});
        let body = json!({"runnerId": "r", "command": command}).to_string();
        http("POST", &broker.handle, "/commands", &[bearer()], body).await
    };
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    // The runner does not read, so that in the end the socket is full in the middle of one of them.
    let fill = "x".repeat(7 << 20);
    let mut filled = 0;
    loop {
        match post("fill", &fill).await {
            (200, _) => filled += 1,
            (503, body) => break assert!(body.contains("runner_busy"), "{body}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(post("build", "").await.0, 503);
    let mut got = Vec::new();
    for _ in 0..filled {
        got.push(runner.next().await["id"].clone());
    }
    let (answer, last) = tokio::join!(post("last", ""), runner.next());
    assert_eq!((answer.0, &last["id"]), (200, &json!("last")));
    assert!(got.iter().all(|id| *id == "fill"), "{got:?}");
}

#[tokio::test]
async fn every_refusal_says_why_in_json() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let large = format!(r#"{{"runnerId":"{}"}}"#, "r".repeat(9 << 20));
    for (method, path, body, status, code) in [
        ("POST", "/commands", large.as_str(), 413, "too_large"),
        ("GET", "/commands", "", 405, "method_not_allowed"),
        ("DELETE", "/health", "", 405, "method_not_allowed"),
        ("GET", "/socket?runnerId=r", "", 400, "bad_request"),
        ("GET", "/nothing", "", 404, "not_found"),
    ] {
        let (got, body) = http(method, &broker.handle, path, &[bearer()], body.to_owned()).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (got, &body["code"]),
            (status, &json!(code)),
            "{method} {path}"
        );
        assert!(body["error"].is_string());
    }
}

#[tokio::test]
async fn a_command_without_the_secret_is_refused_before_it_has_come() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut stream = tokio::net::TcpStream::connect(broker.handle.address())
        .await
        .unwrap();
    let head = "POST /commands HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8000000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_server_that_fails_at_every_event_shows_in_the_status() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    api.ledger.lock().poison = Some(("data", 500));
    runner.send(&event("c", 2)).await;
    loop {
        let (_, status) = get(&broker, "/status", &[bearer()]).await;
        if status["failedEventQueueSize"] == 1 {
            assert_eq!(status["status"], "degraded");
            assert_eq!(status["server"]["lastError"], "500");
            break;
        }
        tokio::task::yield_now().await;
    }
    api.ledger.lock().poison = None;
    runner.acked("c", 2).await;
    assert_eq!(get(&broker, "/status", &[bearer()]).await.1["status"], "ok");
}

#[tokio::test]
async fn the_figures_have_the_originals_names_and_prometheus_gets_its_text() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&json!([event("c", 1), event("c", 2)])).await;
    runner.acked("c", 2).await;
    let (_, figures) = get(&broker, "/metrics", &[bearer()]).await;
    assert_eq!(figures["totalEvents"], 2);
    assert_eq!(figures["activeConnections"], 1);
    assert_eq!(figures["failedEventQueueSize"], 0);
    assert_eq!(figures["totalCommands"], 0);
    assert_eq!(figures["totalErrors"], 0);
    assert!(figures["uptime"].as_f64().unwrap() > 0.0);
    let headers = [bearer(), ("accept", "text/plain")];
    let (_, text) = http("GET", &broker.handle, "/metrics", &headers, "").await;
    assert!(
        text.contains("hopline_broker_events_settled_total 2"),
        "{text}"
    );
    let (_, status) = get(&broker, "/status", &[bearer()]).await;
    assert_eq!(status["server"]["acknowledges"], true);
    assert_eq!(status["links"][0]["runnerId"], "r");
    assert_eq!(status["links"][0]["reading"], true);
}

#[tokio::test]
async fn a_server_that_refuses_the_broker_shows_in_its_status() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    for _ in 0..500 {
        api.fault(Fault::Status(401, "{}"));
    }
    runner.send(&event("c", 1)).await;
    loop {
        let (_, status) = get(&broker, "/status", &[bearer()]).await;
        if status["failedEventQueueSize"] == 1 {
            assert_eq!(status["status"], "degraded");
            assert_eq!(status["server"]["lastError"], "401");
            break;
        }
        tokio::task::yield_now().await;
    }
    api.ledger.lock().faults.clear();
    runner.acked("c", 1).await;
    let (_, status) = get(&broker, "/status", &[bearer()]).await;
    assert_eq!(
        (&status["status"], &status["failedEventQueueSize"]),
        (&json!("ok"), &json!(0))
    );
}

#[tokio::test]
async fn spans_are_passed_on_untouched_and_the_answer_comes_back() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let headers = [
        ("authorization", "Bearer some-ingest-key"),
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "gzip"),
    ];
    let body = vec![0x1f, 0x8b, 0, 255, 7];
    let (status, answer) = http("POST", &broker.handle, "/v1/traces", &headers, body.clone()).await;
    assert_eq!((status, answer.as_str()), (200, "taken"));
    let received = api.ledger.lock().received[0].clone();
    assert_eq!(received.path, "/v1/traces");
    assert_eq!(received.body, body);
    for (name, value) in headers {
        assert_eq!(received.header(name), Some(value));
    }
    api.fault(Fault::Status(503, "later"));
    let (status, answer) = http("POST", &broker.handle, "/v1/traces", &headers, body).await;
    assert_eq!((status, answer.as_str()), (503, "later"));
    let large = vec![0; (20 << 20) + 1];
    let (status, _) = http("POST", &broker.handle, "/v1/traces", &headers, large).await;
    assert_eq!(status, 413);
    assert!(broker.spans.all().is_empty());
}

#[tokio::test]
async fn senders_of_spans_that_stop_in_the_middle_do_not_keep_the_others_out() {
    use tokio::io::AsyncWriteExt as _;
    let api = Api::start().await;
    let mut options = options(&api);
    options.post_timeout = std::time::Duration::from_millis(300);
    let broker = start(options).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut stream = tokio::net::TcpStream::connect(broker.handle.address())
            .await
            .unwrap();
        let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer k\r\n\
            content-length: 9\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    for stream in &stalled {
        // Each is told, and with that its turn is free.
        stream.readable().await.unwrap();
        let mut answer = [0; 12];
        assert_eq!(stream.try_read(&mut answer).unwrap(), answer.len());
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
    let headers = [("authorization", "Bearer some-ingest-key")];
    let (status, _) = http("POST", &broker.handle, "/v1/traces", &headers, vec![1]).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_port_in_use_and_a_wrong_address_are_told_clearly() {
    let api = Api::start().await;
    let tracer = || {
        let (pipeline, _thread) = Pipeline::start(Vec::new(), 1).unwrap();
        Tracer::new(pipeline, "hopline-broker", "test")
    };
    let mut taken = options(&api);
    taken.listen = api.address;
    let error = Broker::start(taken, tracer(), Metrics::default())
        .await
        .err();
    let error = error.unwrap();
    assert!(matches!(error, BrokerError::AddressInUse(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "listen on {}: another program is listening there",
            api.address
        )
    );
    let mut wrong = options(&api);
    wrong.server_url = "localhost".into();
    let error = Broker::start(wrong, tracer(), Metrics::default())
        .await
        .err();
    assert!(error.unwrap().to_string().contains("expected a URL"));
    let mut wrong = options(&api);
    wrong.public_url = Some("broker.example.com:4701".into());
    let error = Broker::start(wrong, tracer(), Metrics::default())
        .await
        .err();
    assert!(matches!(error, Some(BrokerError::PublicUrl { .. })));
}
