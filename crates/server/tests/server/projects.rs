//! Projects: made, listed, taken away.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::builds::start;
use crate::support::{answer, broker, event, house};

#[tokio::test]
async fn a_project_gets_a_slug_of_its_own() {
    let house = house().await;
    let slug = |project: &Value| project["slug"].as_str().unwrap().to_owned();
    let (status, one) = house.post("/api/projects", json!({"name": "My App"})).await;
    assert_eq!(
        (status, slug(&one).as_str()),
        (StatusCode::CREATED, "my-app")
    );
    let (_, two) = house
        .post("/api/projects", json!({"name": "my app!"}))
        .await;
    assert_eq!(slug(&two), "my-app-2");
    let (status, body) = house
        .post("/api/projects", json!({"name": "x", "slug": "my-app"}))
        .await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("slug_taken"))
    );
    let (_, found) = house.get("/api/projects?slug=my-app-2").await;
    assert_eq!(found["projects"][0]["id"], two["id"]);
    let (_, all) = house.get("/api/projects").await;
    assert_eq!(all["projects"].as_array().unwrap().len(), 2);
    let path = format!("/api/projects/{}", one["id"].as_str().unwrap());
    assert_eq!(house.get(&path).await.1["name"], "My App");
}

#[tokio::test]
async fn a_project_that_makes_no_sense_is_refused() {
    let house = house().await;
    for (body, code) in [
        (json!({}), "bad_request"),
        (json!({"name": 5}), "bad_request"),
        (json!({"name": "  "}), "bad_name"),
        (json!({"name": "x".repeat(201)}), "bad_name"),
        (json!({"name": "x", "slug": "../x"}), "bad_slug"),
        (json!({"name": "x", "slug": ""}), "bad_slug"),
        (json!([]), "bad_request"),
    ] {
        let (status, answer) = house.post("/api/projects", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer["code"], code, "{body}");
    }
}

#[tokio::test]
async fn what_no_row_can_hold_is_replaced_in_names() {
    let house = house().await;
    let (status, project) = house
        .post(
            "/api/projects",
            json!({"name": "a\u{0}b", "description": "\u{0}"}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{project}");
    assert_eq!(
        (&project["name"], &project["description"]),
        (&json!("a\u{fffd}b"), &json!("\u{fffd}"))
    );
}

#[tokio::test]
async fn a_command_must_be_sent_as_json() {
    let house = house().await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ] {
        let request = house
            .admin(Method::POST, "/api/projects")
            .header("content-type", content_type)
            .body(r#"{"name":"x"}"#);
        let (status, body) = answer(request).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(body["code"], "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_deleted_project_takes_its_files_along_if_its_runner_is_there() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("gone").await;
    let path = format!("/api/projects/{project}");
    // A file that was written without any build is at the runner all the same.
    let file = format!("{path}/files/content?path=a.txt");
    let request = house.admin(Method::PUT, &file);
    let writing = answer(request.json(&json!({"content": "a"})));
    let running = async {
        let post = broker.next().await;
        let fields = json!({"slug": "gone", "filePath": "a.txt"});
        let written = event("file-written", &post["command"], 1, fields);
        house.ingest(written.to_string()).await
    };
    let ((status, body), _) = tokio::join!(writing, running);
    assert_eq!(status, StatusCode::OK, "{body}");

    let deleting = answer(house.admin(Method::DELETE, &path));
    let running = async {
        let post = broker.next().await;
        let command = &post["command"];
        assert_eq!(command["type"], "delete-project-files");
        assert_eq!(command["payload"]["slug"], "gone");
        // No build can begin in a folder that is being deleted.
        let build = format!("{path}/build");
        let (status, _) = house.post(&build, json!({"command": "true"})).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let deleted = event("files-deleted", command, 1, json!({"slug": "gone"}));
        house.ingest(deleted.to_string()).await
    };
    let ((status, body), (_, reply)) = tokio::join!(deleting, running);
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (&body["filesDeleted"], &body["error"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(reply["rejected"], json!([]));
    assert_eq!(house.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn files_that_stay_behind_are_told_of() {
    let house = house().await;
    let made = json!({"name": "gone", "runnerId": "r1"});
    let (_, project) = house.post("/api/projects", made).await;
    let path = format!("/api/projects/{}", project["id"].as_str().unwrap());
    let (status, body) = answer(house.admin(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &body["filesDeleted"]),
        (StatusCode::OK, &json!(false))
    );
    assert!(body["error"].as_str().unwrap().contains("r1"), "{body}");
}

#[tokio::test]
async fn a_project_whose_build_runs_is_not_deleted() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("busy").await;
    start(&house, &broker, &project).await;
    let path = format!("/api/projects/{project}");
    let (status, body) = answer(house.admin(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("build_running"))
    );
    assert_eq!(house.get(&path).await.0, StatusCode::OK);
    assert_eq!(broker.count(), 1, "its files are left alone");
}

#[tokio::test]
async fn a_project_without_a_runner_is_deleted_all_the_same() {
    let house = house().await;
    let id = house.project("alone").await;
    let path = format!("/api/projects/{id}");
    let (status, body) = answer(house.admin(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &body["filesDeleted"]),
        (StatusCode::OK, &json!(false))
    );
    let (status, _) = answer(house.admin(Method::DELETE, &path)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
