//! The settings of every part in one typed struct, and where each comes from.
//!
//! A flag wins over the environment (`HOPLINE_<KEY>`, then the names that the TypeScript original knows),
//! that over `hopline.toml` in the current folder, that over `hopline.toml` in the data folder, and that over
//! the defaults here. A mistake names the key, the source of the value and what was expected; a secret is
//! never printed. No other module reads the environment for settings. `docs/settings.md` lists them all.

mod error;
mod sources;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use hopline_server::BasePath;
use hopline_state::postgres::CONNECTIONS;
use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::{Head, Sampler};
use hopline_wire::pace::Rates;
use hopline_wire::secret::Secret;
use serde::Deserialize;

pub(crate) use error::SettingsError;
pub(crate) use sources::{Flags, load};
pub(crate) use values::{
    BaseUrl, Database, Dsn, EventTracing, LogStyle, OtlpProtocol, Period, Rate, Retention,
    SecretText, TraceHead,
};

/// Where a server listens unless told otherwise.
pub(crate) const SERVER_PORT: u16 = 4700;
/// Where a broker listens unless told otherwise.
pub(crate) const BROKER_PORT: u16 = 4701;

/// Every setting. The names of the fields are the keys in `hopline.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The folder that holds everything embedded.
    pub(crate) data: Option<PathBuf>,
    /// The database of rows; `DIR/hopline.db` if none is named.
    pub(crate) database: Option<Database>,
    /// How many connections to it a server holds at most; SQLite needs none.
    pub(crate) database_connections: usize,
    /// Where the server listens.
    pub(crate) listen: SocketAddr,
    /// Where the server takes spans over OTLP/gRPC as well, if anywhere.
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// Where the broker listens.
    pub(crate) broker_listen: SocketAddr,
    /// The server to talk to.
    pub(crate) server: Option<BaseUrl>,
    /// The broker to talk to.
    pub(crate) broker: Option<BaseUrl>,
    /// Where people reach the server, if not where it listens.
    pub(crate) public_url: Option<BaseUrl>,
    /// The path below which people reach the server, if not that of `public_url`.
    pub(crate) base_path: Option<BasePath>,
    /// Where the server reaches the broker, if not where it listens.
    pub(crate) broker_public_url: Option<BaseUrl>,
    /// Further names that requests to the server and the broker may ask for in `Host`.
    pub(crate) allowed_hosts: Vec<String>,
    /// Further origins whose pages may call the API.
    pub(crate) allowed_origins: Vec<String>,
    /// The runner's name.
    pub(crate) runner_id: Option<String>,
    /// The folder of the runner's projects; `DIR/projects` if none is named.
    pub(crate) projects: Option<PathBuf>,
    /// How many bytes of events that are not settled the runner keeps on disk before its builds wait.
    pub(crate) outbox_bytes: usize,
    /// Whether the secrets among the variables of the runner's builds are masked in what is said of them.
    pub(crate) mask_secrets: bool,
    /// How long nothing must be heard of a build whose runner is gone until it counts as failed.
    pub(crate) silence_after: Period,
    /// How long the log of a build is kept after its end.
    pub(crate) log_retention: Retention,
    /// How long spans are kept.
    pub(crate) span_retention: Retention,
    /// How many bytes they may occupy; the oldest go first.
    pub(crate) span_bytes: u64,
    /// The bucket that spans move to once their files are merged no further, if any: `s3://NAME/PREFIX`.
    pub(crate) span_bucket: Option<String>,
    /// How it is reached: what the environment says for AWS's own tools, by the names of its variables. Of two of one name the
    /// later counts.
    #[serde(skip)]
    pub(crate) bucket_options: Vec<(String, Secret)>,
    /// How often a broker asks the server whether the tokens of linked runners are still good.
    pub(crate) token_check: Period,
    /// How many events a second a runner with a token may send in the long run.
    pub(crate) token_events_per_second: u32,
    /// Likewise, how many bytes.
    pub(crate) token_bytes_per_second: u64,
    /// Of runners and brokers.
    pub(crate) runner_secret: Option<SecretText>,
    /// Of people and their tools.
    pub(crate) admin_secret: Option<SecretText>,
    /// Write-only, for spans.
    pub(crate) ingest_key: Option<SecretText>,
    /// The share of new traces that are recorded, from 0 to 1.
    pub(crate) sample_rate: Rate,
    /// What new traces say of the release that runs.
    pub(crate) release: Option<String>,
    /// What new traces say of the environment it runs in.
    pub(crate) environment: Option<String>,
    /// Names the Sentry project that traces belong to: its public key goes into their sampling context.
    pub(crate) sentry_dsn: Option<Dsn>,
    /// Whose trace a command's request belongs to, unless the request says.
    pub(crate) trace: TraceHead,
    /// Exceptions from which events are traced.
    pub(crate) traced_events: BTreeMap<String, EventTracing>,
    /// An OTLP endpoint that spans are sent to as well.
    pub(crate) otlp_url: Option<BaseUrl>,
    /// What carries them there.
    pub(crate) otlp_protocol: OtlpProtocol,
    /// Sent to it as Bearer.
    pub(crate) otlp_token: Option<SecretText>,
    /// Which log records are written, in directives such as `info,hopline_broker=debug`.
    pub(crate) log: Option<String>,
    /// How they are written.
    pub(crate) log_format: LogStyle,
    /// How many threads run the parts; one for each processor, at most two, if not said.
    pub(crate) threads: Option<usize>,
    /// The keys whose values the `hopline.toml` of the current folder gives.
    #[serde(skip)]
    of_current_folder: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            data: None,
            database: None,
            database_connections: CONNECTIONS,
            listen: SocketAddr::new(loopback, SERVER_PORT),
            grpc_listen: None,
            broker_listen: SocketAddr::new(loopback, BROKER_PORT),
            server: None,
            broker: None,
            public_url: None,
            base_path: None,
            broker_public_url: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            runner_id: None,
            projects: None,
            outbox_bytes: 1 << 30,
            mask_secrets: true,
            silence_after: Period::minutes(30),
            log_retention: Retention(Some(Period::days(7))),
            span_retention: Retention(None),
            span_bytes: 32 << 30,
            span_bucket: None,
            bucket_options: Vec::new(),
            token_check: Period::seconds(10),
            token_events_per_second: 10_000,
            token_bytes_per_second: 32 << 20,
            runner_secret: None,
            admin_secret: None,
            ingest_key: None,
            sample_rate: Rate(1.0),
            release: None,
            environment: None,
            sentry_dsn: None,
            trace: TraceHead::New,
            traced_events: BTreeMap::new(),
            otlp_url: None,
            otlp_protocol: OtlpProtocol::Http,
            otlp_token: None,
            log: None,
            log_format: LogStyle::Human,
            threads: None,
            of_current_folder: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// The data folder; [`load`] has filled it in.
    pub(crate) fn data_folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("."))
    }

    /// Whether the value of this key is that of the `hopline.toml` in the current folder, which comes along with a
    /// checkout and may be anyone's, or of the data folder that such a file names.
    pub(crate) fn is_of_current_folder(&self, key: &str) -> bool {
        self.of_current_folder.contains(key)
    }

    /// The database of rows.
    pub(crate) fn database(&self) -> Database {
        let embedded = || Database::Sqlite(self.data_folder().join("hopline.db"));
        self.database.clone().unwrap_or_else(embedded)
    }

    /// The folder of the embedded trace store; beside it is room for other forms of spans.
    pub(crate) fn traces_path(&self) -> PathBuf {
        self.data_folder().join("traces").join("log")
    }

    /// The folder of spans that wait for the endpoints of others.
    pub(crate) fn unsent_path(&self) -> PathBuf {
        self.data_folder().join("traces").join("unsent")
    }

    /// The folder of the runner's projects.
    pub(crate) fn projects_path(&self) -> PathBuf {
        let projects = self.projects.clone();
        projects.unwrap_or_else(|| self.data_folder().join("projects"))
    }

    /// The folder for what is thrown away once it was used. Whoever holds the data folder may empty it at its start.
    pub(crate) fn scratch_path(&self) -> PathBuf {
        self.data_folder().join("scratch")
    }

    /// The folder of the runners' outboxes.
    pub(crate) fn outboxes_path(&self) -> PathBuf {
        self.data_folder().join("outbox")
    }

    /// What decides new traces.
    pub(crate) fn sampler(&self) -> Sampler {
        Sampler::new(self.sample_rate.0)
    }

    /// How fast runners with tokens of their own may send.
    pub(crate) fn token_rates(&self) -> Rates {
        Rates {
            events: self.token_events_per_second,
            bytes: self.token_bytes_per_second,
        }
    }

    /// What new traces say of their head.
    pub(crate) fn head(&self) -> Head {
        let dsn = self.sentry_dsn.as_ref();
        Head {
            public_key: dsn.map(|dsn| dsn.public_key.clone()),
            org_id: dsn.and_then(|dsn| dsn.org_id.clone()),
            release: self.release.clone(),
            environment: self.environment.clone(),
        }
    }

    /// Which events are traced.
    pub(crate) fn traced(&self) -> TracedEvents {
        let exceptions = self.traced_events.iter();
        let exceptions = exceptions.map(|(kind, traced)| (kind.clone(), traced.tracing()));
        TracedEvents::with_exceptions(exceptions.collect())
    }
}
