//! Sentry's envelopes in: where the key may stand, what pages may do, what is answered and counted.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Answer, House, INGEST, answer, house};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";

fn envelope(header: &Value) -> String {
    let span = json!({"trace_id": TRACE, "span_id": "b7ad6b7169203331", "name": "n", "status": "ok",
        "start_timestamp": 1.5, "end_timestamp": 2});
    let item = json!({"type": "span", "content_type": "application/vnd.sentry.items.span.v2+json"});
    format!("{header}\n{item}\n{}\n", json!({"items": [span]}))
}

async fn send(house: &House, path: &str, auth: Option<&str>, body: String) -> Answer {
    let mut request = house.bare(Method::POST, path);
    if let Some(auth) = auth {
        request = request.header("x-sentry-auth", auth);
    }
    answer(request.body(body)).await
}

#[tokio::test]
async fn the_key_may_stand_in_the_header_the_query_or_the_envelope() {
    let house = house().await;
    let auth = format!("Sentry sentry_version=7, sentry_key={INGEST}");
    let dsn = |key: &str| json!({"dsn": format!("http://{key}@localhost:4700/1")});
    let in_query = format!("/api/1/envelope/?sentry_version=7&sentry_key={INGEST}");
    for (path, auth, header, status) in [
        ("/api/1/envelope/", Some(&*auth), json!({}), 200),
        ("/api/42/envelope", Some(&*auth), json!({}), 200),
        (&*in_query, None, json!({}), 200),
        ("/api/1/envelope/", None, dsn(INGEST), 200),
        ("/api/1/envelope/", None, json!({}), 401),
        ("/api/1/envelope/", None, dsn("wrong"), 403),
        (
            "/api/1/envelope/",
            Some("Sentry sentry_key=wrong"),
            dsn(INGEST),
            403,
        ),
        ("/api/shop/envelope/", Some(&*auth), json!({}), 404),
    ] {
        let (got, body) = send(&house, path, auth, envelope(&header)).await;
        assert_eq!(got.as_u16(), status, "{path} {auth:?} {header}: {body}");
        assert!(!body.to_string().contains(INGEST));
    }
    assert_eq!(
        house.spans(TRACE).len(),
        1,
        "one span, sent again and again"
    );
}

#[tokio::test]
async fn what_is_not_taken_is_told_and_what_is_whole_is_kept() {
    let house = house().await;
    let auth = format!("Sentry sentry_key={INGEST}");
    let header = json!({"event_id": "9ec79c33ec9942ab8353589fcb2e04dc"});
    let bad = envelope(&header).replace("b7ad6b7169203331", "0");
    let (status, body) = send(&house, "/api/1/envelope/", Some(&auth), bad).await;
    assert_eq!((status, &body["id"]), (StatusCode::OK, &header["event_id"]));
    assert!(
        body["refused"][0].as_str().unwrap().contains("span id"),
        "{body}"
    );

    let cut = envelope(&header) + "{\"type\":\"event\",\"length\":99}\n{}";
    let (status, body) = send(&house, "/api/1/envelope/", Some(&auth), cut).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_REQUEST, &json!("malformed"))
    );
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .contains("item 2 is said to have 99 bytes"),
        "{body}"
    );
    assert_eq!(house.spans(TRACE).len(), 1);

    let report = "{}\n{\"type\":\"client_report\"}\n{\"discarded_events\":[{\"reason\":\"queue_overflow\",\
                  \"category\":\"span\",\"quantity\":7},{\"reason\":\"made up\",\"category\":\"span\",\"quantity\":1}]}\n";
    let (status, _) = send(&house, "/api/1/envelope/", Some(&auth), report.into()).await;
    assert_eq!(status, StatusCode::OK);
    let metrics = house.admin(Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "hopline_lost_by_clients_total{reason=\"queue_overflow\",category=\"span\"} 7",
        "hopline_lost_by_clients_total{reason=\"other\",category=\"span\"} 1",
        "hopline_envelope_items_total{kind=\"span\"} 2",
        "hopline_envelope_items_total{kind=\"client_report\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_send_envelopes_and_nothing_else() {
    let house = house().await;
    let path = format!("/api/1/envelope/?sentry_key={INGEST}");
    let request = house
        .bare(Method::POST, &path)
        .header("origin", "https://shop.example");
    let response = request.body(envelope(&json!({}))).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let request = house
        .bare(Method::OPTIONS, "/api/1/envelope/")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST");
    let response = request.send().await.unwrap();
    let allowed = response.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(response.status().is_success() && allowed.contains("x-sentry-auth"));
    for path in ["/api/projects", "/api/x/envelope/", "/api/1/envelope/more"] {
        let request = house
            .bare(Method::POST, path)
            .header("origin", "https://shop.example");
        assert_eq!(
            request.send().await.unwrap().status().as_u16(),
            403,
            "{path}"
        );
    }
}

/// SDKs stream what they send: nobody says beforehand how long it is, and that takes no more room than it needs.
#[tokio::test]
async fn many_envelopes_of_untold_length_are_taken_at_once() {
    const ENVELOPES: usize = 16;
    let house = house().await;
    let address = house.server.address();
    let body = envelope(&json!({}));
    let mut open = Vec::new();
    for _ in 0..ENVELOPES {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/1/envelope/ HTTP/1.1\r\nHost: {address}\r\nX-Sentry-Auth: Sentry sentry_key={INGEST}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{body}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        open.push(stream);
    }
    // All of them are under way, and none has come to its end.
    for mut stream in open {
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
