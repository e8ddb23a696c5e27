//! DSNs: made, sent by, listed, revoked.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, House, answer, house};

async fn made(house: &House, name: &str) -> Value {
    let request = house.admin(Method::POST, "/api/dsns");
    let (status, body) = answer(request.json(&json!({"name": name}))).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body
}

/// Sends an envelope with a span to a project, by a key.
async fn send(house: &House, number: u64, key: &str) -> Answer {
    let span = json!({"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
        "start_timestamp": 1.0, "timestamp": 2.0, "op": "x"});
    let request = house.bare(Method::POST, &format!("/api/{number}/envelope/"));
    let auth = format!("Sentry sentry_version=7, sentry_key={key}");
    let envelope = format!("{{}}\n{{\"type\":\"span\"}}\n{span}\n");
    answer(request.header("X-Sentry-Auth", auth).body(envelope)).await
}

/// The same with the key in the envelope alone.
async fn send_tunneled(house: &House, number: u64, dsn: &str) -> Answer {
    let request = house.bare(Method::POST, &format!("/api/{number}/envelope/"));
    answer(request.body(format!("{{\"dsn\":\"{dsn}\"}}\n"))).await
}

async fn send_otlp(house: &House, key: &str) -> Answer {
    let request = house.bare(Method::POST, "/v1/traces").bearer_auth(key);
    answer(request.json(&json!({"resourceSpans": []}))).await
}

#[tokio::test]
async fn a_dsn_is_good_for_sending_until_it_is_revoked_and_for_nothing_else() {
    let house = house().await;
    let one = made(&house, "shop").await;
    let other = made(&house, "").await;
    let (key, dsn) = (
        one["publicKey"].as_str().unwrap(),
        one["dsn"].as_str().unwrap(),
    );
    assert_eq!((&one["number"], &one["name"]), (&json!(1), &json!("shop")));
    let base = house.url("");
    let place = base.strip_prefix("http://").unwrap().trim_end_matches('/');
    assert_eq!(dsn, format!("http://{key}@{place}/1"));
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));

    let good = [
        send(&house, 1, key).await,
        send_tunneled(&house, 1, dsn).await,
        send_otlp(&house, key).await,
    ];
    assert!(
        good.iter().all(|(status, _)| *status == StatusCode::OK),
        "{good:?}"
    );
    let wrong = send(&house, 2, key).await;
    assert_eq!(
        wrong.0,
        StatusCode::FORBIDDEN,
        "another's number: {wrong:?}"
    );
    let read = answer(house.bare(Method::GET, "/api/dsns").bearer_auth(key)).await;
    assert_eq!(
        read.0,
        StatusCode::FORBIDDEN,
        "a DSN reads nothing: {read:?}"
    );

    for _ in 0..2 {
        let (status, revoked) = answer(house.admin(Method::DELETE, "/api/dsns/1")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(revoked["revokedAt"].is_string(), "{revoked}");
    }
    let refused = [
        send(&house, 1, key).await,
        send_tunneled(&house, 1, dsn).await,
        send_otlp(&house, key).await,
    ];
    for (status, body) in &refused {
        assert_eq!(*status, StatusCode::FORBIDDEN, "{body}");
    }
    let others = send(&house, 2, other["publicKey"].as_str().unwrap()).await;
    assert_eq!(others.0, StatusCode::OK, "{others:?}");

    let (_, list) = house.get("/api/dsns").await;
    let numbers: Vec<_> = list["dsns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dsn| &dsn["number"])
        .collect();
    assert_eq!(numbers, [&json!(1), &json!(2)]);
}

#[tokio::test]
async fn what_is_no_dsn_is_told_so() {
    let house = house().await;
    for bad in ["a\nb", &"x".repeat(201)] {
        let request = house.admin(Method::POST, "/api/dsns");
        let (status, body) = answer(request.json(&json!({"name": bad}))).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &"bad_name".into())
        );
    }
    for none in ["/api/dsns/7", "/api/dsns/x"] {
        let (status, _) = answer(house.admin(Method::DELETE, none)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{none}");
    }
}
