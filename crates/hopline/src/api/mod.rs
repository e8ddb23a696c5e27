//! The client of a server's HTTP API, as the commands use it. `/openapi.json` of a server describes the API.
//!
//! Every failure says which server was asked for what, and what to do about it. The admin secret goes to
//! the server it belongs to and nowhere else: redirects are not followed.

pub(crate) mod dsns;
mod error;
pub(crate) mod live;
mod log;
mod spans;
pub(crate) mod tokens;
pub(crate) mod types;

use std::io::Write;
use std::time::Duration;

use hopline_processor::rebuild::Report;
use hopline_traces::questions::{Answer, Language};
use hopline_traces::{Overview, Trace};
use hopline_wire::TraceId;
use hopline_wire::otlp;
use hopline_wire::secret::Secret;
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use error::ApiError;
use types::{
    Build, BuildList, BuildRequest, Event, EventList, NewProject, Project, ProjectList, Runner,
    RunnerList, Started, Status,
};

/// How long a request may take. Requests for commands wait for no runner, so this is plenty.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole trace may take to come: whatever its size, at the pace of whoever reads what is written.
const WHOLE_TRACE: Duration = Duration::from_secs(24 * 3600);

/// How long folding a build's log again may take: as long as the build is.
const REBUILD: Duration = Duration::from_secs(3600);

/// What a look at a trace is called in errors.
const TRACE: &str = "look at a trace";

/// The header that tells how many spans a trace has, however many are given.
const TOTAL_SPANS: &str = "hopline-total-spans";

/// Among how many of the last events the one that ended a build is: few come after it.
const LAST_EVENTS: u64 = 20;

/// How many events of a log are asked for at once: as many as the server gives.
const LOG_PAGE: u32 = 500;

/// A server's API. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ApiClient {
    http: reqwest::Client,
    base: String,
    admin: Secret,
}

/// Which builds to list.
#[derive(Debug, Default, Serialize)]
pub(crate) struct BuildQuery {
    /// Those that stand so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Those of this project, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    /// At most how many of them.
    pub(crate) limit: u32,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

impl ApiClient {
    /// A client of the server at `base`, an address without a slash at its end.
    ///
    /// # Errors
    /// [`ApiError::Client`] if the TLS of this machine cannot be set up.
    pub(crate) fn new(base: &str, admin: Secret) -> Result<Self, ApiError> {
        let http = hopline_telemetry::http::client_builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(ApiError::Client)?;
        Ok(Self {
            http,
            base: base.to_owned(),
            admin,
        })
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The project of this name, slug or id, if there is one. An id wins over a name, that over a slug.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn find_project(&self, name: &str) -> Result<Option<Project>, ApiError> {
        let list: ProjectList = self.get("list the projects", "/api/projects").await?;
        let by = |same: fn(&Project, &str) -> bool| {
            list.projects.iter().find(|project| same(project, name))
        };
        let found = by(|project, name| project.id == name)
            .or_else(|| by(|project, name| project.name == name))
            .or_else(|| by(|project, name| project.slug == name));
        Ok(found.cloned())
    }

    /// Makes a project.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn create_project(&self, name: &str) -> Result<Project, ApiError> {
        let body = NewProject { name };
        self.post("make a project", "/api/projects", &body).await
    }

    /// The project of this name, made if there is none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn find_or_create_project(&self, name: &str) -> Result<Project, ApiError> {
        match self.find_project(name).await? {
            Some(project) => Ok(project),
            None => self.create_project(name).await,
        }
    }

    /// Asks for a build.
    ///
    /// # Errors
    /// [`ApiError`]; a project or runner that is busy or away among them.
    pub(crate) async fn start_build(
        &self,
        project_id: &str,
        request: &BuildRequest,
    ) -> Result<Started, ApiError> {
        let path = format!("/api/projects/{project_id}/build");
        self.post("start a build", &path, request).await
    }

    /// A build as it stands.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn build(&self, session_id: &str) -> Result<Build, ApiError> {
        let path = format!("/api/builds/{session_id}?state=false");
        self.get("look at a build", &path).await
    }

    /// The number of the signal that ended a build's command, as its last event tells; none if no signal did.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn ending_signal(&self, build: &Build) -> Result<Option<u8>, ApiError> {
        #[derive(serde::Deserialize)]
        struct Ended<'a> {
            #[serde(borrow)]
            signal: std::borrow::Cow<'a, str>,
        }
        let after = build.last_seq.saturating_sub(LAST_EVENTS);
        let events = self.events(&build.session_id, after).await?;
        let mut signals = events.iter().filter_map(|event| {
            let ended: Ended<'_> = serde_json::from_str(event.body.as_ref()?.get()).ok()?;
            signal_number(&ended.signal)
        });
        Ok(signals.next_back())
    }

    /// A page of a build's log, from the event after `after` on; empty if that was the last.
    ///
    /// # Errors
    /// [`ApiError`].
    async fn events(&self, session_id: &str, after: u64) -> Result<Vec<Event>, ApiError> {
        let path = format!("/api/builds/{session_id}/events?after={after}&limit={LOG_PAGE}");
        let list: EventList = self.get("read a build's log", &path).await?;
        Ok(list.events)
    }

    /// Ends a running build.
    ///
    /// # Errors
    /// [`ApiError`]; none if the build has ended by itself meanwhile.
    pub(crate) async fn cancel_build(&self, session_id: &str) -> Result<(), ApiError> {
        let path = format!("/api/builds/{session_id}/cancel");
        let request = self.request(Method::POST, &path);
        match self
            .answer::<serde_json::Value>("cancel a build", request)
            .await
        {
            Err(error) if error.code() == Some("already_ended") => Ok(()),
            answered => answered.map(|_| ()),
        }
    }

    /// Has the log of a build folded again and compared; with `write` its rows are put right.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn rebuild(&self, id: &str, write: bool) -> Result<Report, ApiError> {
        let path = format!("/api/builds/{id}/rebuild?write={write}");
        let request = self.request(Method::POST, &path).timeout(REBUILD);
        self.answer("fold a build's log again", request).await
    }

    /// A page of builds, the newest first.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn builds(&self, query: &BuildQuery) -> Result<BuildList, ApiError> {
        let request = self.request(Method::GET, "/api/builds").query(query);
        self.answer("list the builds", request).await
    }

    /// All projects.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn projects(&self) -> Result<Vec<Project>, ApiError> {
        let list: ProjectList = self.get("list the projects", "/api/projects").await?;
        Ok(list.projects)
    }

    /// How the server is doing.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn status(&self) -> Result<Status, ApiError> {
        self.get("ask how it is doing", "/api/status").await
    }

    /// The runners that are linked.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn linked_runners(&self) -> Result<Vec<Runner>, ApiError> {
        let mut runners = self.runners(("link", "up")).await?;
        // A server of an older version gives all it has.
        runners.retain(|runner| runner.link == "up");
        Ok(runners)
    }

    /// Whether the server knows this runner as linked.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn is_linked(&self, runner_id: &str) -> Result<bool, ApiError> {
        let runners = self.runners(("id", runner_id)).await?;
        Ok(runners
            .iter()
            .any(|runner| runner.id == runner_id && runner.link == "up"))
    }

    async fn runners(&self, which: (&str, &str)) -> Result<Vec<Runner>, ApiError> {
        let request = self.request(Method::GET, "/api/runners").query(&[which]);
        let list: RunnerList = self.answer("list the runners", request).await?;
        Ok(list.runners)
    }

    /// The answer to a question about the stored spans.
    ///
    /// # Errors
    /// [`ApiError`]; a mistake in the question among them.
    pub(crate) async fn ask(
        &self,
        language: Language,
        text: &str,
        limit: usize,
    ) -> Result<Answer, ApiError> {
        let request = match language {
            Language::Query => {
                let query = [("q", text), ("limit", &limit.to_string())];
                self.request(Method::GET, "/api/query").query(&query)
            }
            Language::Sql => {
                let body = serde_json::json!({ "sql": text, "limit": limit });
                self.request(Method::POST, "/api/sql").json(&body)
            }
        };
        self.answer("ask the spans", request).await
    }

    /// A trace in figures; none if the server has no spans of it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn overview(&self, trace_id: TraceId) -> Result<Option<Overview>, ApiError> {
        let path = format!("/api/traces/{trace_id}?format=summary");
        match self.get(TRACE, &path).await {
            Err(error) if error.is_not_found() => Ok(None),
            overview => Ok(Some(overview?)),
        }
    }

    /// The spans of a trace, at most `limit`; empty if the server has none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn trace(&self, trace_id: TraceId, limit: usize) -> Result<Trace, ApiError> {
        let path = format!("/api/traces/{trace_id}?format=otlp&limit={limit}");
        let response = match self.send(TRACE, self.request(Method::GET, &path)).await {
            Err(error) if error.is_not_found() => return Ok(Trace::default()),
            response => response?,
        };
        let total = response.headers().get(TOTAL_SPANS);
        let total = total.and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = response.bytes().await;
        let bytes = bytes.map_err(|error| self.away(TRACE, error))?;
        let malformed = |source: otlp::DecodeError| ApiError::Malformed {
            operation: TRACE,
            base: self.base.clone(),
            source: source.into(),
        };
        let mut spans = Vec::new();
        otlp::from_request(otlp::decode_json(&bytes).map_err(malformed)?, &mut spans);
        let total = total.unwrap_or(spans.len() as u64);
        Ok(Trace { spans, total })
    }

    /// All spans of a trace as OTLP in JSON, piece by piece; false if the server has none.
    ///
    /// # Errors
    /// [`ApiError`], or what `out` says.
    pub(crate) async fn copy_trace(
        &self,
        trace_id: TraceId,
        out: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let path = format!("/api/traces/{trace_id}?format=otlp");
        let request = self.request(Method::GET, &path).timeout(WHOLE_TRACE);
        let response = match self.send(TRACE, request).await {
            Err(error) if error.is_not_found() => return Ok(false),
            response => response?,
        };
        self.copy(TRACE, response, out).await?;
        Ok(true)
    }

    /// Writes the body of an answer, as it comes.
    async fn copy(
        &self,
        operation: &'static str,
        mut response: reqwest::Response,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| self.away(operation, error))? {
                Some(chunk) => out.write_all(&chunk)?,
                None => return Ok(()),
            }
        }
    }

    /// A request to a path of the API.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.admin.expose())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> Result<T, ApiError> {
        self.answer(operation, self.request(Method::GET, path))
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        let request = self.request(Method::POST, path).json(body);
        self.answer(operation, request).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<T, ApiError> {
        let bytes = self.bytes(operation, request).await?;
        serde_json::from_slice(&bytes).map_err(|error| ApiError::Malformed {
            operation,
            base: self.base.clone(),
            source: error.into(),
        })
    }

    async fn bytes(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Vec<u8>, ApiError> {
        let response = self.send(operation, request).await?;
        let bytes = response.bytes().await;
        Ok(bytes.map_err(|error| self.away(operation, error))?.into())
    }

    /// The answer to a request, if it is one of success.
    async fn send(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<reqwest::Response, ApiError> {
        let away = |error| self.away(operation, error);
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(away)?;
        Err(ApiError::refused(operation, &self.base, status, &body))
    }

    fn away(&self, operation: &'static str, source: reqwest::Error) -> ApiError {
        ApiError::Away {
            operation,
            base: self.base.clone(),
            source: source.without_url().into(),
        }
    }
}

/// The number of a signal by its name, as the kernel and all shells have it on Linux.
fn signal_number(name: &str) -> Option<u8> {
    const NAMES: [&str; 15] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM",
    ];
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let place = NAMES.iter().position(|known| *known == name)?;
    u8::try_from(place + 1).ok()
}

#[cfg(test)]
mod testing {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server that gives these answers one after another, and what it was asked.
    pub(super) async fn server(
        answers: Vec<serde_json::Value>,
    ) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(client.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                noted.lock().unwrap().push(request);
                let body = answer.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                client.write_all(head.as_bytes()).await.unwrap();
                client.write_all(body.as_bytes()).await.unwrap();
            }
        });
        (base, asked)
    }
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn signals_have_the_numbers_of_linux() {
        let known = ["SIGHUP", "SIGINT", "SIGKILL", "SIGTERM", "SIGWHAT"].map(signal_number);
        assert_eq!(known, [Some(1), Some(2), Some(9), Some(15), None]);
    }
}
