//! What can be kept, and what is said of the rest.

use serde_json::{Value, json};

use super::*;

fn document() -> Value {
    let panel = |id: &str, x: u32| {
        json!({"id": id, "title": "Writes", "query": "count(spans)", "view": "number",
               "x": x, "y": 0, "w": 6, "h": 4})
    };
    json!({
        "version": 3,
        "dashboards": [
            {"id": "a", "name": "One", "panels": [panel("p", 0), panel("q", 6)]},
            {"id": "b-2_x", "name": "Ünï", "panels": [panel("p", 0)]},
        ],
        "saved": [{"id": "a", "name": "Slow", "query": "spans", "view": "table"}],
    })
}

/// What is wrong with the document once this is in it.
fn mistake(pointer: &str, value: Value) -> String {
    let mut document = document();
    *document.pointer_mut(pointer).unwrap() = value;
    match serde_json::from_value::<DashboardDocument>(document) {
        Ok(document) => document.mistake().unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_document_whose_ids_views_and_places_are_right_can_be_kept() {
    let document: DashboardDocument = serde_json::from_value(document()).unwrap();
    assert_eq!(document.mistake(), None);
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_was_expected() {
    for (pointer, value, told) in [
        ("/dashboards/1/id", json!("a"), "dashboards[1].id is \"a\""),
        ("/dashboards/0/id", json!(""), "dashboards[0].id must be"),
        (
            "/dashboards/0/id",
            json!("../x"),
            "dashboards[0].id must be",
        ),
        (
            "/dashboards/0/id",
            json!("x".repeat(65)),
            "dashboards[0].id must be",
        ),
        (
            "/dashboards/0/name",
            json!("  "),
            "dashboards[0].name must be",
        ),
        (
            "/dashboards/0/name",
            json!("a\u{202e}"),
            "dashboards[0].name must be",
        ),
        (
            "/dashboards/0/name",
            json!("a\u{7}"),
            "dashboards[0].name must be",
        ),
        ("/saved/0/name", json!("\u{2066}a"), "saved[0].name must be"),
        (
            "/dashboards/0/name",
            json!("x".repeat(201)),
            "dashboards[0].name must be",
        ),
        (
            "/dashboards/0/panels/1/id",
            json!("p"),
            "dashboards[0].panels[1].id is",
        ),
        (
            "/dashboards/0/panels/1/title",
            json!(""),
            "panels[1].title must be",
        ),
        (
            "/dashboards/0/panels/1/query",
            json!("\n"),
            "panels[1].query must be",
        ),
        (
            "/dashboards/0/panels/0/query",
            json!("x".repeat(16_385)),
            "panels[0].query must be",
        ),
        ("/dashboards/0/panels/0/w", json!(0), "panels[0].w must be"),
        ("/dashboards/0/panels/1/w", json!(7), "x + w at most 12"),
        (
            "/dashboards/0/panels/1/x",
            json!(u32::MAX),
            "x + w at most 12",
        ),
        (
            "/dashboards/0/panels/1/h",
            json!(101),
            "panels[1].h must be",
        ),
        (
            "/dashboards/0/panels/1/y",
            json!(10_001),
            "panels[1].y must be",
        ),
        ("/dashboards/0/panels/1/y", json!(-1), "expected u32"),
        (
            "/dashboards/0/panels/1/view",
            json!("pie"),
            "unknown variant `pie`, expected one of `table`",
        ),
        ("/saved/0/view", json!("<b>"), "expected one of `table`"),
        ("/saved/0/id", json!("a b"), "saved[0].id must be"),
        ("/saved", json!({}), "expected a sequence"),
    ] {
        let mistake = mistake(pointer, value.clone());
        assert!(mistake.contains(told), "{pointer} {value}: {mistake:?}");
    }
    let panel = document()["dashboards"][0]["panels"][0].clone();
    let many = mistake("/dashboards/0/panels", json!(vec![panel; 101]));
    assert!(
        many.contains("dashboards[0].panels has more than 100"),
        "{many}"
    );
}
