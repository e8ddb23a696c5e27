//! Who is let in, and who is not: every route, every credential.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ADMIN, House, INGEST, RUNNER, answer, house, house_with};

/// Routes that ask for no credential, or for one in another form.
const OPEN: [(&str, &str); 5] = [
    ("get", "/health"),
    ("get", "/"),
    ("get", "/signin"),
    ("post", "/signin"),
    ("post", "/signout"),
];

const ID: &str = "6f1c2d7e-0000-4000-8000-000000000000";

/// Every documented route: method and path with its parameters filled in.
async fn routes(house: &House) -> Vec<(String, String, String)> {
    let (status, description) = house.get("/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let paths = description["paths"].as_object().unwrap();
    let mut routes = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().unwrap().keys() {
            let filled = path
                .replace("{id}", ID)
                .replace("{sessionId}", ID)
                .replace("{traceId}", "0123456789abcdef0123456789abcdef")
                .replace("{spanId}", "0123456789abcdef");
            routes.push((method.clone(), path.clone(), filled));
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    routes
}

fn expected_credential(path: &str) -> &'static str {
    match path {
        "/api/runner/events" | "/api/runner/tokens/check" => RUNNER,
        "/v1/traces" | "/api/{project}/envelope/" => INGEST,
        _ => ADMIN,
    }
}

#[tokio::test]
async fn every_documented_route_is_there_and_asks_for_its_credential() {
    let house = house().await;
    for (method, path, filled) in routes(&house).await {
        let http = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let ask = |secret: Option<&str>| {
            let request = house.bare(http.clone(), &filled);
            let request = match secret {
                Some(secret) => request.bearer_auth(secret),
                None => request,
            };
            answer(request)
        };
        let is_open = OPEN.contains(&(method.as_str(), path.as_str()));
        let (status, body) = ask(None).await;
        if is_open {
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            continue;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}: {body}");
        assert!(body["error"].is_string() && body["code"] == "unauthorized");
        let right = expected_credential(&path);
        for secret in [RUNNER, ADMIN, INGEST, "wrong", ""] {
            let (status, body) = ask(Some(secret)).await;
            let refused = [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&status);
            // The runner secret is good for spans too: brokers relay them.
            let is_right = secret == right || (secret == RUNNER && path == "/v1/traces");
            assert_eq!(
                !refused, is_right,
                "{method} {path} with {secret}: {status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_in_json() {
    let house = house().await;
    for (method, path, status, code) in [
        (Method::GET, "/nowhere", 404, "not_found"),
        (Method::GET, "/api/nowhere", 404, "not_found"),
        (Method::PATCH, "/api/projects", 405, "method_not_allowed"),
        (Method::GET, "/api/projects/no-uuid", 404, "not_found"),
        (Method::GET, "/api/builds?limit=many", 400, "bad_request"),
        (Method::GET, "/api/builds?status=odd", 400, "bad_request"),
        (Method::GET, "/api/builds?cursor=odd", 400, "bad_request"),
        (Method::GET, "/api/traces/xyz", 404, "not_found"),
        (Method::GET, "/ws", 426, "upgrade_required"),
    ] {
        let (got, body) = answer(house.admin(method.clone(), path)).await;
        assert_eq!(got.as_u16(), status, "{method} {path}: {body}");
        assert_eq!(body["code"], code, "{method} {path}");
        assert!(body["error"].is_string());
    }
}

#[tokio::test]
async fn an_unknown_host_and_a_foreign_origin_are_turned_away() {
    let house = house_with(|options| {
        options.allowed_hosts = vec!["box.lan".into()];
        options.allowed_origins = vec!["http://app.example".into()];
    })
    .await;
    let port = house.server.address().port();
    let own = format!("http://localhost:{port}");
    let local = format!("localhost:{port}");
    for (host, origin, status) in [
        ("evil.example", None, 421),
        ("box.lan", None, 200),
        (local.as_str(), None, 200),
        (local.as_str(), Some(own.as_str()), 200),
        (local.as_str(), Some("http://evil.example"), 403),
        (local.as_str(), Some("null"), 403),
        (local.as_str(), Some("http://localhost:1"), 403),
        (local.as_str(), Some("http://app.example"), 200),
    ] {
        let mut request = house
            .admin(Method::GET, "/api/projects")
            .header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let (got, body) = answer(request).await;
        assert_eq!(got.as_u16(), status, "{host} {origin:?}: {body}");
    }
}

#[tokio::test]
async fn only_listed_origins_and_senders_of_spans_may_ask_from_elsewhere() {
    let house = house_with(|options| {
        options.allowed_origins = vec!["http://app.example".into()];
    })
    .await;
    for (path, origin, allowed) in [
        (
            "/api/projects",
            "http://app.example",
            Some("http://app.example"),
        ),
        ("/api/projects", "http://evil.example", None),
        ("/v1/traces", "http://evil.example", Some("*")),
    ] {
        let request = house
            .bare(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let response = request.send().await.unwrap();
        let header = response.headers().get("access-control-allow-origin");
        let header = header.map(|value| value.to_str().unwrap());
        assert_eq!(header, allowed, "{path} {origin}");
        assert_eq!(response.status().is_success(), allowed.is_some());
    }
}

#[tokio::test]
async fn the_link_signs_in_once_and_the_cookie_opens_what_the_secret_opens() {
    let house = house().await;
    let link = house.server.one_time_link();
    let response = house.client.get(&link).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 303);
    let cookie = response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let cookie = cookie.split(';').next().unwrap();
    let with = |cookie: &str| {
        let request = house.bare(Method::GET, "/api/projects");
        answer(request.header("cookie", cookie))
    };
    assert_eq!(with(cookie).await.0, StatusCode::OK);
    assert_eq!(
        with(&format!("{cookie}x")).await.0,
        StatusCode::UNAUTHORIZED
    );
    let again = house.client.get(&link).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 403);
    let foreign = house
        .bare(Method::POST, "/api/projects")
        .header("cookie", cookie)
        .header("origin", "http://evil.example")
        .json(&json!({ "name": "x" }));
    assert_eq!(answer(foreign).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn guessing_the_admin_secret_is_slowed_down() {
    let house = house().await;
    let sign_in = |secret: &'static str| {
        answer(
            house
                .bare(Method::POST, "/signin")
                .json(&json!({ "secret": secret })),
        )
    };
    assert_eq!(sign_in(ADMIN).await.0, StatusCode::OK);
    let mut statuses: Vec<StatusCode> = Vec::new();
    for _ in 0..6 {
        statuses.push(sign_in("wrong").await.0);
    }
    assert_eq!(statuses[0], StatusCode::FORBIDDEN);
    assert_eq!(statuses[5], StatusCode::TOO_MANY_REQUESTS);
    // Those who have the secret at hand are not held off.
    assert_eq!(house.get("/api/projects").await.0, StatusCode::OK);
}

#[tokio::test]
async fn no_answer_repeats_a_secret() {
    let house = house().await;
    house.project("one").await;
    for path in ["/openapi.json", "/api/runners", "/api/projects"] {
        let text: Value = house.get(path).await.1;
        let text = text.to_string();
        for secret in [RUNNER, ADMIN, INGEST] {
            assert!(!text.contains(secret), "{path}");
        }
    }
}
