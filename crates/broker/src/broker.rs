//! Starting a broker and ending it in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Tracer, http};
use hopline_wire::pace::Paces;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::counters::Counters;
use crate::edge::{Edge, Hosts, Listening, LocalAddress, Relay};
use crate::forward::{Forwarder, HttpTransport, Upstream, show_waiting};
use crate::hub::{Hub, Policy};
use crate::link::{Closing, Links, Settings};
use crate::tokens::Tokens;
use crate::{BrokerError, Options, reach};

/// How often the broker looks for events that have waited long.
const UPKEEP: Duration = Duration::from_millis(500);

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The broker; see [`Broker::start`].
pub struct Broker;

/// A running broker; cheap to clone. Dropping it does not end the broker.
#[derive(Clone)]
pub struct Handle {
    running: Arc<Running>,
}

/// What was left when a broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Events that were not settled. Runners of `hopline.v1` still have them.
    pub unsettled_events: u64,
}

struct Running {
    address: SocketAddr,
    hub: Arc<Hub>,
    /// Ends the intake: no new connections, no more events.
    stop_intake: CancellationToken,
    /// Ends everything else.
    stop: CancellationToken,
    tasks: TaskTracker,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Broker {
    /// Starts a broker on the current tokio runtime. It listens when this returns; whether the server can
    /// be reached shows later.
    ///
    /// # Errors
    /// [`BrokerError`], if the address is in use or a setting makes no sense.
    pub async fn start(
        options: Options,
        tracer: Tracer,
        metrics: Metrics,
    ) -> Result<Handle, BrokerError> {
        let server_url = server_url(&options.server_url)?;
        check_public_url(options.public_url.as_deref())?;
        let client = http::client_builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(BrokerError::Client)?;
        let listener = listen(options.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| BrokerError::Listen {
                address: options.listen,
                source,
            })?;
        let counters = Counters::new(&metrics);
        let broker_url = match &options.public_url {
            Some(url) => url.clone(),
            None => format!("http://{}", reach::reachable(address, &server_url).await),
        };
        tracing::debug!(broker_url, "what the server is told of where the broker is");
        let hub = Arc::new(Hub::new(policy(&options, broker_url), counters.clone()));
        let upstream = Arc::new(Mutex::new(Upstream::new(&options)));
        let running = Arc::new(Running {
            address,
            hub: Arc::clone(&hub),
            stop_intake: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            serving: Mutex::new(None),
        });
        let transport = HttpTransport::new(
            client.clone(),
            &server_url,
            &options.secret,
            options.post_timeout,
        );
        let forwarder = Forwarder {
            hub: Arc::clone(&hub),
            transport: Arc::new(transport),
            upstream: Arc::clone(&upstream),
            tracer: tracer.clone(),
            counters: counters.clone(),
        };
        let forwards = Arc::new(AtomicBool::new(true));
        let forwarding = tokio::spawn(forwarder.run(running.stop.clone()));
        running.tasks.spawn(watch(
            forwarding,
            Arc::clone(&forwards),
            running.stop.clone(),
        ));
        running.tasks.spawn(upkeep(
            Arc::clone(&hub),
            tracer.clone(),
            options.heartbeat,
            running.stop.clone(),
        ));
        let tokens = Tokens::new(
            client.clone(),
            &server_url,
            &options.secret,
            counters.clone(),
        );
        running.tasks.spawn(tokens.clone().watch(
            Arc::clone(&hub),
            options.token_check,
            options.token_grace,
            running.stop.clone(),
        ));
        let links = Links {
            hub: Arc::clone(&hub),
            counters: counters.clone(),
            settings: settings(&options),
            paces: Arc::new(Mutex::new(Paces::new(options.token_rates))),
            stop_reading: running.stop_intake.clone(),
        };
        let edge = Arc::new(Edge {
            secret: options.secret,
            hosts: Hosts::new(
                address,
                options.public_url.as_deref(),
                &options.allowed_hosts,
            ),
            hub,
            links,
            tokens,
            upstream,
            relay: Relay::new(client, &server_url, options.post_timeout),
            command_patience: options.command_patience,
            tracer,
            sampler: options.sampler,
            head: options.head,
            counters,
            metrics,
            started: StdInstant::now(),
            forwards,
            tasks: running.tasks.clone(),
        });
        *running.serving.lock() = Some(serve(listener, edge, running.stop_intake.clone()));
        tracing::info!(%address, server = %server_url, "the broker listens");
        Ok(Handle { running })
    }
}

impl Handle {
    /// The address that the broker listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Ends the broker in order: no new connections and no more events; what is held is forwarded and
    /// acknowledged; links are closed and reported as down. What is not done by `deadline` is given up. A
    /// second call waits for the first.
    pub async fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        let running = &self.running;
        running.stop_intake.cancel();
        // Each step may take until the deadline; what it did not reach shows in the report.
        let _ = timeout_at(deadline, running.hub.wait_until_empty()).await;
        for link in running.hub.links() {
            link.outbox.close(Closing::going_away());
        }
        let goodbye = async {
            running.hub.wait_until_unlinked().await;
            running.hub.wait_until_empty().await;
        };
        let _ = timeout_at(deadline, goodbye).await;
        let unsettled_events = running.hub.figures().events;
        running.stop.cancel();
        running.tasks.close();
        let serving = running.serving.lock().take();
        let ended = async {
            running.tasks.wait().await;
            if let Some(mut serving) = serving
                && timeout_at(deadline, &mut serving).await.is_err()
            {
                serving.abort();
            }
        };
        let grace = deadline.max(Instant::now() + Duration::from_millis(100));
        let _ = timeout_at(grace, ended).await;
        if unsettled_events > 0 {
            tracing::warn!(
                events = unsettled_events,
                "the broker ended with events that are not settled"
            );
        }
        ShutdownReport { unsettled_events }
    }
}

/// The server's address without a slash at its end.
fn server_url(url: &str) -> Result<String, BrokerError> {
    if !is_url(url, &["http", "https"]) {
        let url = url.to_owned();
        return Err(BrokerError::ServerUrl { url });
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn check_public_url(url: Option<&str>) -> Result<(), BrokerError> {
    match url.filter(|url| !is_url(url, &["http", "https", "ws", "wss"])) {
        None => Ok(()),
        Some(url) => Err(BrokerError::PublicUrl {
            url: url.to_owned(),
        }),
    }
}

fn is_url(url: &str, schemes: &[&str]) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, BrokerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BrokerError::AddressInUse(address),
            _ => BrokerError::Listen { address, source },
        })
}

fn policy(options: &Options, broker_url: String) -> Policy {
    Policy {
        broker_url,
        window: options.window,
        window_bytes: options.window_bytes,
        held_bytes: options.held_bytes,
        max_event_bytes: options.max_event_bytes,
        traced: options.traced.clone(),
        sampler: options.sampler.clone(),
        head: options.head.clone(),
    }
}

fn settings(options: &Options) -> Settings {
    Settings {
        window: options.window,
        window_bytes: options.window_bytes,
        max_event_bytes: options.max_event_bytes,
        hello_timeout: options.hello_timeout,
        ping_interval: options.ping_interval,
        dead_after: options.dead_after,
    }
}

fn serve(listener: TcpListener, edge: Arc<Edge>, stop: CancellationToken) -> JoinHandle<()> {
    let service = edge
        .router()
        .into_make_service_with_connect_info::<LocalAddress>();
    tokio::spawn(async move {
        let served = axum::serve(Listening(listener), service)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the broker's listener failed");
        }
    })
}

/// Notes in `forwards`, which `/health` tells, if forwarding ends before it is told to: events would wait for ever, and
/// nothing else would show it.
async fn watch(forwarding: JoinHandle<()>, forwards: Arc<AtomicBool>, stop: CancellationToken) {
    let ended = forwarding.await;
    if !stop.is_cancelled() {
        forwards.store(false, Ordering::Relaxed);
        let error = ended.err().map(|error| error.to_string());
        tracing::error!(
            error,
            "the broker forwards no more; it has to be started anew"
        );
    }
}

/// What is done now and then, until the broker ends.
async fn upkeep(hub: Arc<Hub>, tracer: Tracer, heartbeat: Duration, stop: CancellationToken) {
    let mut look = tokio::time::interval(UPKEEP);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut report = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {
                show_waiting(&hub, &tracer);
                hub.forget_idle_lanes();
                hub.measure();
            }
            _ = report.tick() => hub.report_links(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forwarding_that_ends_by_itself_is_noticed_and_one_that_is_told_to_is_not() {
        for (told, fails) in [(true, false), (true, true), (false, false), (false, true)] {
            let stop = CancellationToken::new();
            if told {
                stop.cancel();
            }
            let forwards = Arc::new(AtomicBool::new(true));
            let forwarding = tokio::spawn(async move { assert!(!fails, "as it was to") });
            watch(forwarding, Arc::clone(&forwards), stop).await;
            assert_eq!(forwards.load(Ordering::Relaxed), told);
        }
    }
}
