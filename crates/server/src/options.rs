//! What a server needs to be told, and what it needs to be given.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use hopline_state::Store;
use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Head, Sampler, Tracer};
use hopline_traces::TraceStore;
use hopline_traces::questions::Questions;
use hopline_wire::pace::Rates;
use hopline_wire::secret::Secret;

use crate::base_path::BasePath;
use crate::console;

/// The credentials that a server asks for.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Of runners and brokers: ingest, and everything at the broker.
    pub runner: Secret,
    /// Of people and their tools: everything else under `/api`, live updates, metrics.
    pub admin: Secret,
    /// Write-only: spans.
    pub ingest: Secret,
    /// Signs cookies, tokens and the keys of builds. With none, a random one is used for the server's
    /// life: whoever signed in signs in again after a restart, and builds that run then lose their key.
    pub signing: Option<Secret>,
}

#[cfg(test)]
impl Secrets {
    /// Some, for tests in which nobody shows any.
    pub(crate) fn any() -> Self {
        let secret = || Secret::new("s");
        Self {
            runner: secret(),
            admin: secret(),
            ingest: secret(),
            signing: None,
        }
    }
}

/// Whose trace a command's request belongs to, unless the request says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TraceMode {
    /// A new trace, linked to the caller's span.
    #[default]
    New,
    /// The caller's, where it has one.
    Continue,
}

/// The bounds of live updates.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// How long changes gather before they are sent, todos apart, which are sent at once.
    pub flush_interval: Duration,
    /// How many bytes may wait for one client; beyond, it gets a snapshot in place of them.
    pub client_bytes: usize,
    /// How often a heartbeat is sent.
    pub heartbeat: Duration,
    /// How many clients there may be.
    pub max_clients: usize,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(50),
            client_bytes: 1 << 20,
            heartbeat: Duration::from_secs(30),
            max_clients: 10_000,
        }
    }
}

/// A server's settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to take spans over OTLP/gRPC as well, if anywhere; port 0 takes a free one.
    pub grpc_listen: Option<SocketAddr>,
    /// Where people reach the server, if not where it listens: `https://hopline.example`.
    pub public_url: Option<String>,
    /// The path below which people reach it, if not that of `public_url`.
    pub base_path: Option<BasePath>,
    /// Further names that requests may ask for in `Host`.
    pub allowed_hosts: Vec<String>,
    /// Further origins whose pages may call the API, such as `https://app.example:8443`.
    pub allowed_origins: Vec<String>,
    /// The credentials.
    pub secrets: Secrets,
    /// What new traces say of this server.
    pub head: Head,
    /// Decides new traces.
    pub sampler: Sampler,
    /// Which events are traced.
    pub traced_events: TracedEvents,
    /// Whose trace a command's request belongs to, unless it says.
    pub trace_mode: TraceMode,
    /// The broker to use for every runner, in place of the one that each runner's status names.
    pub broker_url: Option<String>,
    /// How long a request waits for the event that answers its command.
    pub answer_timeout: Duration,
    /// How long a command is sent again before its runner counts as unreachable.
    pub command_timeout: Duration,
    /// How long a command that was written may stay unanswered before it is sent again.
    pub send_again_after: Duration,
    /// For how long after its last status a runner counts as linked; brokers post one every 15 s.
    pub runner_timeout: Duration,
    /// How many bytes of events may be on their way through the server; beyond, senders are held off.
    pub ingest_bytes: usize,
    /// What a runner with a token of its own may send in the long run; what it sends beyond that is turned away for a while.
    pub token_rates: Rates,
    /// The bounds of live updates.
    pub live: LiveOptions,
}

impl Options {
    /// The path below which people reach the server.
    ///
    /// # Errors
    /// What was expected in place of the path of `public_url`.
    pub(crate) fn base_path(&self) -> Result<BasePath, String> {
        match (&self.base_path, &self.public_url) {
            (Some(path), _) => Ok(path.clone()),
            (None, None) => Ok(BasePath::default()),
            (None, Some(url)) => {
                let url = url.parse::<Uri>().map_err(|error| error.to_string())?;
                url.path().parse()
            }
        }
    }

    /// The defaults, for a server that listens here.
    #[must_use]
    pub fn new(listen: SocketAddr, secrets: Secrets) -> Self {
        Self {
            listen,
            grpc_listen: None,
            public_url: None,
            base_path: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            secrets,
            head: Head::default(),
            sampler: Sampler::new(1.0),
            traced_events: TracedEvents::default(),
            trace_mode: TraceMode::New,
            broker_url: None,
            answer_timeout: Duration::from_secs(30),
            command_timeout: Duration::from_secs(60),
            send_again_after: Duration::from_secs(5),
            runner_timeout: Duration::from_secs(60),
            ingest_bytes: 64 << 20,
            token_rates: Rates::default(),
            live: LiveOptions::default(),
        }
    }
}

/// The parts that a server stands on. Whoever starts it ends them after it.
pub struct Parts {
    /// The rows.
    pub store: Arc<dyn Store>,
    /// Folds and commits events.
    pub processor: hopline_processor::Handle,
    /// The spans.
    pub traces: Arc<dyn TraceStore>,
    /// Answers questions about them; none if there is no engine.
    pub questions: Option<Arc<dyn Questions>>,
    /// Makes the server's own spans.
    pub tracer: Tracer,
    /// The process's metrics.
    pub metrics: Metrics,
    /// The console's files: [`console::EMBEDDED`], but for tests.
    pub console: &'static [console::File],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_that_of_the_public_url_unless_another_is_given() {
        let options = Options::new("127.0.0.1:0".parse().unwrap(), Secrets::any());
        let base_path = |public_url: Option<&str>, base_path: Option<&str>| {
            let options = Options {
                public_url: public_url.map(Into::into),
                base_path: base_path.map(|path| path.parse().unwrap()),
                ..options.clone()
            };
            options.base_path().map(|path| path.to_string())
        };
        for (url, given, path) in [
            (None, None, "/"),
            (Some("https://a.example"), None, "/"),
            (Some("https://a.example/x"), None, "/x/"),
            (Some("https://a.example/x"), Some("/y"), "/y/"),
            (Some("https://a.example/api"), Some("/"), "/"),
        ] {
            assert_eq!(base_path(url, given).as_deref(), Ok(path), "{url:?}");
        }
        for url in ["https://a.example/api/x", "https://a.example/a%20b", "a"] {
            let expected = base_path(Some(url), None).unwrap_err();
            assert!(expected.starts_with("expected a path"), "{url}: {expected}");
        }
    }
}
