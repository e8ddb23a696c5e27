//! Questions to the stored spans: `GET /api/query` in the query language, `POST /api/sql` in SQL.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hopline_traces::questions::{Answer, Language, Mistake, Question, QuestionError, Questions};
use hopline_wire::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{JsonBody, Params};
use crate::openapi::Problem;

/// How many rows an answer may have.
const MOST_ROWS: usize = 10_000;

/// How many questions are answered at once; the others wait.
pub(crate) const AT_ONCE: usize = 4;

/// How long a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// In which form an answer is wanted.
#[derive(Deserialize, ToSchema, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// `{columns, rows, more}`.
    #[default]
    Json,
    /// Comma-separated values (RFC 4180), with a line of names.
    Csv,
}

/// A question in the query language.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueryParams {
    /// The question, such as `avg(span.duration) where op:"db.persist.event"`.
    q: String,
    /// At most so many rows, up to 10,000.
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    #[param(inline)]
    format: Form,
}

/// A question in SQL.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SqlQuestion {
    /// One statement that reads from the table `spans`.
    sql: String,
    /// At most so many rows, up to 10,000.
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    #[schema(inline)]
    format: Form,
}

/// An answer.
#[derive(ToSchema)]
#[schema(as = Answer)]
#[expect(dead_code, reason = "read by the API's description alone")]
pub(crate) struct AnswerSchema {
    /// Each `{name, unit}`; the unit is `plain`, `nanoseconds`, `milliseconds`, `share`, `time` or `bucket`.
    columns: Vec<serde_json::Value>,
    /// As many values a row as there are columns.
    rows: Vec<Vec<serde_json::Value>>,
    /// Whether there are more rows.
    more: bool,
}

/// What of a question is not understood.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotUnderstood {
    error: String,
    /// `bad_query`.
    code: &'static str,
    /// Where: the first byte, and the one behind the last.
    start: usize,
    end: usize,
    /// What could stand there.
    expected: Vec<String>,
    /// What was probably meant.
    suggestion: Option<String>,
}

/// Answers a question about the stored spans.
#[utoipa::path(get, path = "/api/query", tag = "traces", params(QueryParams),
    responses((status = 200, body = AnswerSchema),
              (status = 400, body = NotUnderstood, description = "The question is not understood"),
              (status = 422, body = Problem, description = "The answer takes too long, or too much memory"),
              (status = 429, body = Problem), (status = 501, body = Problem, description = "Built without the query engine")))]
pub(crate) async fn query(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(params): Params<QueryParams>,
) -> ApiResult<Response> {
    ask(app, Language::Query, params.q, params.limit, params.format).await
}

/// Answers a question about the stored spans in SQL. It reads the table `spans` and nothing else.
#[utoipa::path(post, path = "/api/sql", tag = "traces", request_body = SqlQuestion,
    responses((status = 200, body = AnswerSchema),
              (status = 400, body = NotUnderstood, description = "The statement is not understood, or does more than read"),
              (status = 422, body = Problem, description = "The answer takes too long, or too much memory"),
              (status = 429, body = Problem), (status = 501, body = Problem, description = "Built without the query engine")))]
pub(crate) async fn sql(
    _: Admin,
    State(app): State<Arc<App>>,
    JsonBody(question): JsonBody<SqlQuestion>,
) -> ApiResult<Response> {
    ask(
        app,
        Language::Sql,
        question.sql,
        question.limit,
        question.format,
    )
    .await
}

async fn ask(
    app: Arc<App>,
    language: Language,
    text: String,
    limit: Option<usize>,
    form: Form,
) -> ApiResult<Response> {
    let limit = limit.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
    Ok(
        match (answer_of(&app, language, text, limit).await?, form) {
            (Ok(answer), Form::Json) => Json(answer).into_response(),
            (Ok(answer), Form::Csv) => {
                let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
                (kind, answer.to_csv()).into_response()
            }
            (Err(mistake), _) => not_understood(mistake),
        },
    )
}

/// The answer to a question of at most so many rows, or what of it is not understood.
pub(super) async fn answer_of(
    app: &Arc<App>,
    language: Language,
    text: String,
    limit: usize,
) -> ApiResult<Result<Answer, Mistake>> {
    let questions: Arc<dyn Questions> = app.questions.clone().ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_query_engine",
            "this Hopline was built without its query engine (the feature `query`)",
        )
    })?;
    let turn = Arc::clone(&app.question_turns).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, turn).await else {
        return Err(ApiError::overloaded("others ask much just now: try again"));
    };
    let question = Question {
        text,
        language,
        now: Timestamp::now(),
        limit,
    };
    let asked = tokio::task::spawn_blocking(move || {
        let answer = questions.ask(&question);
        drop(turn);
        answer
    });
    let answer = asked
        .await
        .map_err(|error| ApiError::internal("answer a question", &error))?;
    let code = match &answer {
        Err(QuestionError::TooMuch) => "too_much",
        _ => "too_long",
    };
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(QuestionError::Mistake(mistake)) => Ok(Err(mistake)),
        Err(error @ (QuestionError::TooLong { .. } | QuestionError::TooMuch)) => Err(
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string()),
        ),
        Err(error @ QuestionError::Failed(_)) => {
            Err(ApiError::internal("answer a question", &error))
        }
    }
}

pub(super) fn not_understood(mistake: Mistake) -> Response {
    let body = NotUnderstood {
        error: mistake.message,
        code: "bad_query",
        start: mistake.at.start,
        end: mistake.at.end,
        expected: mistake.expected,
        suggestion: mistake.suggestion,
    };
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
