//! Dashboards over the API: saved as a whole, by whoever has read the last version.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, House, answer, house};

const PATH: &str = "/api/dashboards";

async fn put(house: &House, document: &Value) -> Answer {
    answer(house.admin(Method::PUT, PATH).json(document)).await
}

fn document(version: u64, name: &str) -> Value {
    let panel = json!({"id": "p", "title": "Writes", "query": "avg(span.duration) where op:\"db.query\"",
                       "view": "series", "x": 0, "y": 0, "w": 12, "h": 6});
    json!({
        "version": version,
        "dashboards": [{"id": "d", "name": name, "panels": [panel]}],
        "saved": [{"id": "s", "name": "All", "query": "spans", "view": "table"}],
    })
}

#[tokio::test]
async fn dashboards_come_back_as_they_were_saved_and_of_two_who_save_one_is_told() {
    let house = house().await;
    let nothing = json!({"version": 0, "dashboards": [], "saved": []});
    assert_eq!(house.get(PATH).await, (StatusCode::OK, nothing));

    let (status, saved) = put(&house, &document(0, "<b>Öl</b>")).await;
    assert_eq!((status, saved), (StatusCode::OK, json!({"version": 1})));
    let (_, read) = house.get(PATH).await;
    assert_eq!(read, document(1, "<b>Öl</b>"));

    let (status, _) = put(&house, &document(1, "mine")).await;
    assert_eq!(status, StatusCode::OK);
    for version in [0, 1, 3] {
        let (status, body) = put(&house, &document(version, "too late")).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::CONFLICT, &json!("changed"))
        );
    }
    assert_eq!(house.get(PATH).await.1, document(2, "mine"));
    let house = house.restart(|_| {}).await;
    assert_eq!(house.get(PATH).await.1, document(2, "mine"));
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_its_place() {
    let house = house().await;
    let mut twice = document(0, "x");
    twice["dashboards"] = json!([twice["dashboards"][0], twice["dashboards"][0]]);
    let mut unknown = document(0, "x");
    unknown["theme"] = json!("dark");
    let mut large = document(0, "x");
    let panel = |number: u32| {
        json!({"id": number.to_string(), "title": "t", "query": "x".repeat(16_000),
               "view": "top", "x": 0, "y": number, "w": 1, "h": 1})
    };
    large["dashboards"][0]["panels"] = (0..70).map(panel).collect();
    for (document, status, told) in [
        (twice, 400, "dashboards[1].id is \"d\""),
        (unknown, 400, "unknown field `theme`"),
        (json!([]), 400, "the body cannot be read"),
        (large, 413, "larger than 1048576 bytes"),
    ] {
        let (got, body) = put(&house, &document).await;
        assert_eq!(got.as_u16(), status, "{body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(told), "{error}");
    }
    let form = house.admin(Method::PUT, PATH).body("version=0");
    assert_eq!(answer(form).await.0.as_u16(), 415);
    assert_eq!(house.get(PATH).await.1["version"], 0);
}
