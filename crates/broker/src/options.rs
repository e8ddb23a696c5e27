//! What a broker is started with.

use std::net::SocketAddr;
use std::time::Duration;

use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::{Head, Sampler};
use hopline_wire::limits;
use hopline_wire::pace::Rates;
use hopline_wire::secret::Secret;

/// What a broker is started with. [`Options::new`] sets everything but three to its default.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The server's address, without a path: `http://127.0.0.1:4700`.
    pub server_url: String,
    /// The runner secret: what runners and servers show the broker, and the broker shows the server.
    pub secret: Secret,
    /// The address under which others reach this broker, told to the server as `brokerUrl`. None: the
    /// address it listens on; where it listens on all of them, the one that faces the server.
    pub public_url: Option<String>,
    /// Hosts besides the broker's own under which requests may come.
    pub allowed_hosts: Vec<String>,
    /// The most unacknowledged events of one runner.
    pub window: u32,
    /// The most unacknowledged bytes of one runner.
    pub window_bytes: u64,
    /// The most bytes of events held for all runners together; at this, links are no longer read.
    pub held_bytes: u64,
    /// The largest event taken, in bytes.
    pub max_event_bytes: usize,
    /// The most events in one request to the server, at most 1,000.
    pub batch_events: usize,
    /// The most bytes in one request to the server, at most 8 MiB.
    pub batch_bytes: usize,
    /// How many requests may be under way to a server that acknowledges.
    pub posts: usize,
    /// How many requests, of one event each, may be under way to a server that does not.
    pub single_posts: usize,
    /// How often the server is told which runners are connected.
    pub heartbeat: Duration,
    /// How long the server may take to answer one request.
    pub post_timeout: Duration,
    /// The first pause after a failure that will pass by itself; the next ones grow.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
    /// The first pause after a failure that somebody has to mend, such as a wrong secret. The next ones
    /// grow to six times this.
    pub slow_pause: Duration,
    /// For how long an event that comes alone is refused, again and again, before it is given up, if the server takes
    /// events of other commands meanwhile; fifteen times as long, if it takes nothing but reports.
    pub refused_for: Duration,
    /// How long a command may wait for a runner that does not read what is written to it. Less than the ten seconds
    /// that a server waits for the answer: it must hear whether the command is still to be written.
    pub command_patience: Duration,
    /// How often the server is asked whether the tokens of runners that are linked are still good.
    pub token_check: Duration,
    /// For how long links of such runners stay when the server does not say.
    pub token_grace: Duration,
    /// What such a runner may send in the long run; beyond that its link is read no faster.
    pub token_rates: Rates,
    /// How long a runner of `hopline.v1` may take to say `hello`.
    pub hello_timeout: Duration,
    /// How often each link is pinged.
    pub ping_interval: Duration,
    /// A link that is being read and says nothing for this long is dead.
    pub dead_after: Duration,
    /// Which events are traced.
    pub traced: TracedEvents,
    /// Decides traces that come undecided, and those that begin here.
    pub sampler: Sampler,
    /// What a trace that begins here says of its head.
    pub head: Head,
}

impl Options {
    /// The defaults, for a broker at `listen` of the server at `server_url`.
    #[must_use]
    pub fn new(listen: SocketAddr, server_url: impl Into<String>, secret: Secret) -> Self {
        Self {
            listen,
            server_url: server_url.into(),
            secret,
            public_url: None,
            allowed_hosts: Vec::new(),
            window: limits::WINDOW_EVENTS,
            window_bytes: limits::WINDOW_BYTES,
            held_bytes: 8 * limits::WINDOW_BYTES,
            max_event_bytes: limits::MAX_EVENT_BYTES,
            batch_events: limits::MAX_INGEST_EVENTS,
            batch_bytes: limits::MAX_INGEST_BYTES,
            posts: 4,
            single_posts: 32,
            heartbeat: Duration::from_secs(15),
            post_timeout: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            slow_pause: Duration::from_secs(5),
            refused_for: Duration::from_secs(120),
            command_patience: Duration::from_secs(7),
            token_check: Duration::from_secs(10),
            token_grace: Duration::from_secs(300),
            token_rates: Rates::default(),
            hello_timeout: hopline_wire::link::WELCOME_TIMEOUT,
            ping_interval: hopline_wire::link::PING_INTERVAL,
            dead_after: hopline_wire::link::DEAD_AFTER,
            traced: TracedEvents::default(),
            sampler: Sampler::new(1.0),
            head: Head::default(),
        }
    }
}
