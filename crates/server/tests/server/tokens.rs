//! Tokens of runners: made, shown, asked about, revoked.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use hopline_wire::token;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, House, RUNNER, answer, house, house_with};

/// A token of this runner: its id and itself.
async fn made(house: &House, runner: &str) -> (String, String) {
    let request = house.admin(Method::POST, "/api/runner-tokens");
    let (status, body) = answer(request.json(&json!({"runnerId": runner}))).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    assert_eq!(body["runnerId"], runner);
    let text = |key: &str| body[key].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

async fn listed(house: &House) -> Vec<Value> {
    let (status, body) = house.get("/api/runner-tokens").await;
    assert_eq!(status, StatusCode::OK);
    body["tokens"].as_array().unwrap().clone()
}

async fn revoke(house: &House, id: &str) -> Answer {
    answer(house.admin(Method::DELETE, &format!("/api/runner-tokens/{id}"))).await
}

async fn check(house: &House, hashes: &[&str]) -> Answer {
    let request = house.bare(Method::POST, token::CHECK_PATH);
    answer(request.bearer_auth(RUNNER).json(&json!({"hashes": hashes}))).await
}

async fn send(house: &House, secret: &str, events: &Value) -> Answer {
    let request = house.bare(Method::POST, "/api/runner/events");
    answer(request.bearer_auth(secret).json(events)).await
}

#[tokio::test]
async fn a_token_is_shown_once_and_listed_without_itself() {
    let house = house().await;
    let (id, token) = made(&house, "shop").await;
    let (_, other) = made(&house, "shop").await;
    assert!(token.starts_with("hlr_") && token.len() == 47 && token != other);
    let list = listed(&house).await;
    let one = list.iter().find(|token| token["id"] == id.as_str());
    let one = one.unwrap();
    assert_eq!(one["runnerId"], "shop");
    assert!(
        one["createdAt"].is_string() && one["revokedAt"].is_null() && one["lastUsedAt"].is_null()
    );
    let text = Value::from(list.clone()).to_string();
    let hash = token::hash(&token);
    assert!(
        list.len() == 2 && !text.contains(&token) && !text.contains(&hash),
        "{text}"
    );
    let kept = house.store.live_runner_tokens(vec![hash]).await.unwrap();
    assert_eq!(kept[0].id.to_string(), id);
    for bad in ["", "a\nb", &"x".repeat(257)] {
        let request = house.admin(Method::POST, "/api/runner-tokens");
        let (status, body) = answer(request.json(&json!({"runnerId": bad}))).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &"bad_runner_id".into())
        );
    }
}

#[tokio::test]
async fn a_broker_hears_which_tokens_are_live_and_whose_they_are() {
    let house = house().await;
    let ((id, one), (_, other)) = (made(&house, "a").await, made(&house, "b").await);
    let hashes = [
        token::hash(&one),
        token::hash(&other),
        token::hash("hlr_none"),
    ];
    let hashes = hashes.each_ref().map(String::as_str);
    let (status, body) = check(&house, &hashes).await;
    assert_eq!(status, StatusCode::OK);
    let mut live: Vec<_> = body["live"].as_array().unwrap().clone();
    live.sort_by_key(|token| token["runnerId"].to_string());
    let expected = [("a", hashes[0]), ("b", hashes[1])];
    let expected = expected.map(|(runner, hash)| json!({"hash": hash, "runnerId": runner}));
    assert_eq!(live, expected);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !listed(&house)
        .await
        .iter()
        .all(|token| token["lastUsedAt"].is_string())
    {
        assert!(
            Instant::now() < deadline,
            "the use of the tokens is not noted"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (status, revoked) = revoke(&house, &id).await;
    assert!(
        status == StatusCode::OK && revoked["revokedAt"].is_string(),
        "{revoked}"
    );
    let (_, again) = revoke(&house, &id).await;
    assert_eq!(again, revoked);
    let (_, body) = check(&house, &hashes).await;
    assert_eq!(body["live"], json!([expected[1]]));
    let (status, _) = revoke(&house, "6f1c2d7e-0000-4000-8000-000000000000").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // Only hashes are asked about: nobody sends a token by mistake and hears nothing of it.
    for bad in [vec![one.as_str()], vec![hashes[0]; 10_001]] {
        let (status, body) = check(&house, &bad).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &"bad_hashes".into())
        );
    }
    // A runner is no broker.
    let request = house
        .bare(Method::POST, token::CHECK_PATH)
        .bearer_auth(&other);
    let (status, _) = answer(request.json(&json!({"hashes": hashes}))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_runner_with_a_token_sends_what_is_its_own_until_the_token_is_revoked() {
    let house = house().await;
    let (id, token) = made(&house, "a").await;
    let status = json!({"type": "runner-status", "runnerId": "b", "brokerUrl": "http://thief.example", "link": "up",
                        "payload": {"status": "online"}});
    let (answered, body) = send(&house, &token, &status).await;
    assert_eq!(answered, StatusCode::OK, "{body}");
    // Whatever it says of itself, it is the runner that the token is for.
    assert!(house.store.runner("b").await.unwrap().is_none());
    let runner = house.store.runner("a").await.unwrap().unwrap();
    assert_eq!(runner.broker_url, None);
    let event = json!({"type": "ack", "commandId": "unheard-of", "seq": 1, "runnerId": "b", "runnerBound": false});
    let (answered, body) = send(&house, &token, &event).await;
    assert_eq!(answered, StatusCode::OK, "{body}");
    assert_eq!(body["rejected"][0]["code"], "not_yours", "{body}");
    let (answered, _) = send(&house, RUNNER, &event).await;
    assert_eq!(answered, StatusCode::OK);
    assert!(
        house
            .store
            .load_command("unheard-of")
            .await
            .unwrap()
            .is_some()
    );
    revoke(&house, &id).await;
    for (path, dead) in [("/api/runner/events", &token), ("/v1/traces", &token)] {
        let request = house.bare(Method::POST, path).bearer_auth(dead);
        let (answered, body) = answer(request.json(&json!({}))).await;
        assert_eq!(answered, StatusCode::FORBIDDEN, "{path} {body}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_spans_and_for_nothing_of_people() {
    let house = house().await;
    let (_, token) = made(&house, "a").await;
    let spans = house.bare(Method::POST, "/v1/traces").bearer_auth(&token);
    let (status, body) = answer(spans.json(&json!({"resourceSpans": []}))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    for path in ["/api/projects", "/api/runner-tokens", "/metrics"] {
        let (status, _) = answer(house.bare(Method::GET, path).bearer_auth(&token)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_judged_while_the_database_takes_no_writes() {
    let house = house().await;
    let (_, token) = made(&house, "a").await;
    let lock = house.lock_database();
    let (status, body) = check(&house, &[&token::hash(&token)]).await;
    drop(lock);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["live"][0]["runnerId"], "a");
}

#[tokio::test]
async fn a_runner_that_sends_more_than_its_token_may_is_told_when_to_come_again() {
    // What is sent beyond the first second's worth costs a quarter of an hour.
    let house = house_with(|options| options.token_rates.events = 1).await;
    let ((_, busy), (_, calm)) = (made(&house, "a").await, made(&house, "b").await);
    let events: Vec<_> = (1..=900)
        .map(|seq| json!({"type": "ack", "commandId": "c", "seq": seq}))
        .collect();
    let (status, body) = send(&house, &busy, &events.into()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let request = house.bare(Method::POST, "/api/runner/events");
    let request = request.bearer_auth(&busy).json(&json!([]));
    let answered = request.send().await.unwrap();
    assert_eq!(answered.status(), StatusCode::TOO_MANY_REQUESTS);
    let after = answered.headers()["retry-after"].to_str().unwrap();
    let after: u64 = after.parse().unwrap();
    assert!((600..=900).contains(&after), "{after}");
    for other in [calm.as_str(), RUNNER] {
        let (status, body) = send(&house, other, &json!([])).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}
