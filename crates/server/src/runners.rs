//! The runners as their brokers tell of them, and which of them gets a command.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hopline_state::StateError;
use hopline_state::group::ProjectChange;
use hopline_state::rows::{LinkState, Project, Runner};
use hopline_wire::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult, Chain};
use crate::extract::Params;
use crate::openapi::Problem;

/// A runner that a command can be given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The runner.
    pub(crate) runner_id: String,
    /// Its broker, without a slash at the end.
    pub(crate) broker_url: String,
    /// Whether it executes a command once, however often it is sent. A legacy one may not.
    pub(crate) executes_once: bool,
    /// Whether it is there for one build, as far as it has said by now.
    is_of_one_build: bool,
}

impl App {
    /// The runner for a command of `project`: the one named, the project's own, or the only one there is. A runner of
    /// one build gets a command only if it is named.
    ///
    /// # Errors
    /// 503 `runner_unavailable` if it is not linked, or none is; 409 `choose_runner` if there are several.
    pub(crate) async fn choose_runner(
        &self,
        named: Option<&str>,
        project: &Project,
    ) -> ApiResult<Target> {
        let wanted = match named {
            Some(named) => Some(named),
            None => self.own_runner(project).await?,
        };
        if let Some(wanted) = wanted {
            let missing = || {
                ApiError::unavailable(
                    "runner_unavailable",
                    format!("the runner {wanted:?} is not connected"),
                )
            };
            return self.linked_runner(wanted).await?.ok_or_else(missing);
        }
        let mut linked = self.linked_runners().await?;
        linked.retain(|runner| !is_of_one_build(runner));
        match &linked[..] {
            [] => Err(ApiError::unavailable(
                "runner_unavailable",
                "no runner is connected",
            )),
            [only] => self.target(only),
            _ => {
                let names: Vec<_> = linked.iter().map(|runner| runner.id.as_str()).collect();
                Err(ApiError::conflict(
                    "choose_runner",
                    format!(
                        "several runners are connected; name one in runnerId: {}",
                        names.join(", ")
                    ),
                ))
            }
        }
    }

    /// The runner that the project's files are at. One of one build is none: it was noted before it had said what it is.
    pub(crate) async fn own_runner<'p>(
        &self,
        project: &'p Project,
    ) -> Result<Option<&'p str>, StateError> {
        let Some(own) = project.runner_id.as_deref() else {
            return Ok(None);
        };
        let runner = self.store.runner(own).await?;
        let comes_back = !runner.as_ref().is_some_and(is_of_one_build);
        Ok(comes_back.then_some(own))
    }

    /// A runner, if it is linked.
    pub(crate) async fn linked_runner(&self, runner_id: &str) -> ApiResult<Option<Target>> {
        let found = self.store.runner(runner_id).await?;
        let found = found.filter(|runner| self.is_linked(runner));
        found.map(|runner| self.target(&runner)).transpose()
    }

    /// Notes that the project's files are at this runner from now on, unless they are at one already, or it is there for
    /// one build. `trace_id` names the command's trace in the log.
    pub(crate) async fn keep_runner(&self, project: &Project, target: &Target, trace_id: TraceId) {
        if let Err(error) = self.try_keep_runner(project, target).await {
            // The command is given all the same; the next one chooses again.
            tracing::warn!(%trace_id, error = %Chain(&error), "a project's runner was not noted");
        }
    }

    async fn try_keep_runner(&self, project: &Project, target: &Target) -> Result<(), StateError> {
        if target.is_of_one_build || self.own_runner(project).await?.is_some() {
            return Ok(());
        }
        let change = ProjectChange {
            project_id: project.id,
            ..ProjectChange::default()
        };
        let runner_id = Some(target.runner_id.clone());
        let now = Timestamp::now();
        self.store.update_project(change, runner_id, now).await?;
        Ok(())
    }

    /// The runners that are linked, by id.
    pub(crate) async fn linked_runners(&self) -> ApiResult<Vec<Runner>> {
        Ok(self.store.linked_runners(self.heard_since()).await?)
    }

    fn is_linked(&self, runner: &Runner) -> bool {
        runner.link == LinkState::Up && runner.last_seen_at >= self.heard_since()
    }

    /// A link of which nothing was heard since then is none: its broker is gone.
    fn heard_since(&self) -> Timestamp {
        let timeout = u64::try_from(self.options.runner_timeout.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(Timestamp::now().as_millis().saturating_sub(timeout))
    }

    fn target(&self, runner: &Runner) -> ApiResult<Target> {
        let broker_url = self
            .options
            .broker_url
            .as_ref()
            .or(runner.broker_url.as_ref());
        let broker_url = broker_url.ok_or_else(|| {
            ApiError::unavailable(
                "runner_unavailable",
                format!(
                    "the broker of the runner {:?} has not said where it is reached",
                    runner.id
                ),
            )
        })?;
        Ok(Target {
            runner_id: runner.id.clone(),
            broker_url: broker_url.trim_end_matches('/').to_owned(),
            executes_once: executes_once(runner.payload.as_deref()),
            is_of_one_build: is_of_one_build(runner),
        })
    }
}

/// Whether the status names a link protocol other than the legacy one.
fn executes_once(payload: Option<&str>) -> bool {
    let protocol = said(payload, "protocol");
    protocol.is_some_and(|protocol| protocol != "legacy")
}

/// Whether it says that it is there for one build: once it is gone it does not come back.
fn is_of_one_build(runner: &Runner) -> bool {
    said(runner.payload.as_deref(), "oneBuild") == Some(Value::Bool(true))
}

/// A member of what a runner says about itself.
fn said(payload: Option<&str>, member: &str) -> Option<Value> {
    let mut payload: Value = serde_json::from_str(payload?).ok()?;
    payload.get_mut(member).map(Value::take)
}

/// A runner.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerView {
    id: String,
    /// Where its broker is reached.
    broker_url: Option<String>,
    /// Whether it is linked.
    #[schema(example = "up")]
    link: &'static str,
    /// What it last said about itself.
    #[schema(value_type = Object)]
    status: Option<Box<RawValue>>,
    /// When it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
}

/// All runners heard of; those of one build are forgotten an hour after it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunnerList {
    runners: Vec<RunnerView>,
}

/// Which runners to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunnerFilter {
    /// Only the one of this id.
    id: Option<String>,
    /// `up`: only those that are linked; `down`: only the others.
    link: Option<String>,
}

/// The runners, and which of them are linked.
#[utoipa::path(get, path = "/api/runners", tag = "runners", params(RunnerFilter),
    responses((status = 200, body = RunnerList),
              (status = 400, description = "`link` is neither `up` nor `down`", body = Problem)))]
pub(crate) async fn list_runners(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(filter): Params<RunnerFilter>,
) -> ApiResult<Json<RunnerList>> {
    let wanted = match filter.link.as_deref() {
        None => None,
        Some(link) => Some(LinkState::named(link).ok_or_else(|| {
            ApiError::bad_request("bad_request", "expected link to be up or down")
        })?),
    };
    let runners = match (&filter.id, wanted) {
        (Some(id), _) => app.store.runner(id).await?.into_iter().collect(),
        (None, Some(LinkState::Up)) => app.linked_runners().await?,
        (None, _) => app.store.runners().await?,
    };
    let view = |runner: Runner| {
        let link = if app.is_linked(&runner) {
            LinkState::Up
        } else {
            LinkState::Down
        };
        let is_wanted = wanted.is_none_or(|wanted| wanted == link);
        is_wanted.then(|| RunnerView {
            link: link.as_str(),
            id: runner.id,
            broker_url: runner.broker_url,
            status: runner
                .payload
                .and_then(|payload| RawValue::from_string(payload).ok()),
            last_seen_at: runner.last_seen_at,
        })
    };
    Ok(Json(RunnerList {
        runners: runners.into_iter().filter_map(view).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runner_that_says_so_is_sent_a_command_twice() {
        assert!(executes_once(Some(r#"{"protocol":"hopline.v1"}"#)));
        for legacy in [
            None,
            Some("{}"),
            Some("x"),
            Some(r#"{"protocol":"legacy"}"#),
        ] {
            assert!(!executes_once(legacy));
        }
    }
}
