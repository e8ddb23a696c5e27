//! The console's dashboards and saved questions: one document, read and saved as a whole.
//!
//! Whoever saves says which version they have read; if somebody else has saved one meanwhile, that is told and nothing is
//! lost. What is saved is checked, since everybody's console will show it.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hopline_wire::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::JsonBody;
use crate::openapi::Problem;

#[cfg(test)]
mod tests;

/// How large the document may be as JSON, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// How many panels a dashboard may have: each asks its question while it is looked at.
const MAX_PANELS: usize = 100;

/// How many characters an id, a name and a question may have.
const MAX_ID: usize = 64;
const MAX_NAME: usize = 200;
const MAX_QUERY: usize = 16 << 10;

/// How many columns the grid has on which panels lie, how high a panel may be, and how far down it may lie.
const COLUMNS: u32 = 12;
const MAX_HEIGHT: u32 = 100;
const MAX_Y: u32 = 10_000;

/// The dashboards and saved questions, and the version that they have or are based on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DashboardDocument {
    /// 0 if none were ever saved.
    version: u64,
    dashboards: Vec<Dashboard>,
    /// Questions that were saved by themselves.
    saved: Vec<SavedQuestion>,
}

/// What is kept of it: the version is beside it.
#[derive(Serialize)]
struct Kept<'a> {
    dashboards: &'a [Dashboard],
    saved: &'a [SavedQuestion],
}

/// A dashboard.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dashboard {
    /// What it is called by: letters, digits, `-` and `_`.
    id: String,
    name: String,
    panels: Vec<Panel>,
}

/// A panel: a question, how its answer is shown, and its place on a grid of twelve columns.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Panel {
    /// As that of a dashboard, within its own.
    id: String,
    title: String,
    /// In the query language, or in SQL.
    query: String,
    view: View,
    /// How far from the left.
    x: u32,
    /// How far from the top.
    y: u32,
    /// How wide.
    w: u32,
    /// How high.
    h: u32,
}

/// A question that was saved by itself.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedQuestion {
    id: String,
    name: String,
    query: String,
    view: View,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum View {
    Table,
    Series,
    Top,
    Heat,
    Number,
}

impl DashboardDocument {
    /// What is wrong with it, with its place; nothing if it can be kept.
    fn mistake(&self) -> Option<String> {
        let mut ids = HashSet::new();
        for (at, dashboard) in self.dashboards.iter().enumerate() {
            let place = format!("dashboards[{at}]");
            let mistake = id_mistake(&dashboard.id, &mut ids)
                .or_else(|| name_mistake("name", &dashboard.name))
                .or_else(|| dashboard.panels_mistake());
            if let Some(mistake) = mistake {
                return Some(format!("{place}.{mistake}"));
            }
        }
        let mut ids = HashSet::new();
        let mut saved = self.saved.iter().enumerate();
        saved.find_map(|(at, question)| {
            let mistake = id_mistake(&question.id, &mut ids)
                .or_else(|| name_mistake("name", &question.name))
                .or_else(|| query_mistake(&question.query));
            mistake.map(|mistake| format!("saved[{at}].{mistake}"))
        })
    }
}

impl Dashboard {
    fn panels_mistake(&self) -> Option<String> {
        if self.panels.len() > MAX_PANELS {
            return Some(format!("panels has more than {MAX_PANELS} members"));
        }
        let mut ids = HashSet::new();
        let mut panels = self.panels.iter().enumerate();
        panels.find_map(|(at, panel)| {
            let mistake = id_mistake(&panel.id, &mut ids)
                .or_else(|| name_mistake("title", &panel.title))
                .or_else(|| query_mistake(&panel.query))
                .or_else(|| panel.place_mistake());
            mistake.map(|mistake| format!("panels[{at}].{mistake}"))
        })
    }
}

impl Panel {
    fn place_mistake(&self) -> Option<String> {
        let ends_at = self.x.saturating_add(self.w);
        if self.w == 0 || ends_at > COLUMNS {
            return Some(format!("w must be from 1 on, and x + w at most {COLUMNS}"));
        }
        if self.h == 0 || self.h > MAX_HEIGHT {
            return Some(format!("h must be from 1 to {MAX_HEIGHT}"));
        }
        (self.y > MAX_Y).then(|| format!("y must be at most {MAX_Y}"))
    }
}

fn id_mistake<'d>(id: &'d str, others: &mut HashSet<&'d str>) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_plain) {
        return Some(format!(
            "id must be of 1 to {MAX_ID} letters, digits, - and _"
        ));
    }
    (!others.insert(id)).then(|| format!("id is {id:?}, as that of another before it"))
}

fn name_mistake(key: &str, name: &str) -> Option<String> {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_name = !name.trim().is_empty() && !name.contains(steers);
    (!is_name || name.chars().count() > MAX_NAME).then(|| {
        format!(
            "{key} must be a text of at most {MAX_NAME} characters, without control characters and those that turn the direction of writing, and not empty"
        )
    })
}

fn query_mistake(query: &str) -> Option<String> {
    let is_query = !query.trim().is_empty() && query.chars().count() <= MAX_QUERY;
    (!is_query)
        .then(|| format!("query must be a text of at most {MAX_QUERY} characters and not empty"))
}

/// The dashboards and saved questions of the console.
#[utoipa::path(get, path = "/api/dashboards", tag = "console",
    responses((status = 200, body = DashboardDocument)))]
pub(crate) async fn get_dashboards(_: Admin, State(app): State<Arc<App>>) -> ApiResult<Response> {
    let json = match app.store.dashboards().await? {
        None => r#"{"version":0,"dashboards":[],"saved":[]}"#.to_owned(),
        // An object with members, as it was saved: as long as no other program writes there.
        Some(kept) => match kept.document.strip_prefix('{') {
            Some(members) => format!(r#"{{"version":{},{members}"#, kept.version),
            None => {
                let broken = std::io::Error::other("the document is no object");
                return Err(ApiError::internal("read the dashboards", &broken));
            }
        },
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// A document was saved.
#[derive(Serialize, ToSchema)]
pub(crate) struct DashboardsSaved {
    /// The version that it has now.
    version: u64,
}

/// Saves the dashboards and saved questions, in place of the version that they are based on.
#[utoipa::path(put, path = "/api/dashboards", tag = "console", request_body = DashboardDocument,
    responses((status = 200, body = DashboardsSaved),
              (status = 400, description = "Something in it cannot be kept; `error` says where", body = Problem),
              (status = 409, description = "`changed`: somebody else has saved another version meanwhile", body = Problem),
              (status = 413, description = "It is larger than 1 MiB", body = Problem)))]
pub(crate) async fn put_dashboards(
    _: Admin,
    State(app): State<Arc<App>>,
    JsonBody(document): JsonBody<DashboardDocument>,
) -> ApiResult<Json<DashboardsSaved>> {
    if let Some(mistake) = document.mistake() {
        return Err(ApiError::bad_request("bad_dashboards", mistake));
    }
    let kept = Kept {
        dashboards: &document.dashboards,
        saved: &document.saved,
    };
    let json = serde_json::to_string(&kept);
    let json = json.map_err(|error| ApiError::internal("write the dashboards", &error))?;
    if json.len() > MAX_BYTES {
        let told = format!("the dashboards are larger than {MAX_BYTES} bytes");
        return Err(ApiError::too_large(told));
    }
    let saved = app
        .store
        .save_dashboards(document.version, json, Timestamp::now())
        .await?;
    let changed = || {
        ApiError::conflict(
            "changed",
            "somebody else has saved the dashboards meanwhile: read them again",
        )
    };
    let version = saved.ok_or_else(changed)?;
    Ok(Json(DashboardsSaved { version }))
}
