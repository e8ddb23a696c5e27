//! The broker, as the settings want it.

use std::net::SocketAddr;

use hopline_broker::{Broker, BrokerError, Handle, Options};
use hopline_wire::secret::Secret;

use super::telemetry::Telemetry;
use crate::settings::Settings;

/// Starts a broker at `listen` for the server at `server_url`.
///
/// # Errors
/// If it cannot listen there.
pub(crate) async fn start(
    settings: &Settings,
    listen: SocketAddr,
    server_url: &str,
    secret: Secret,
    telemetry: &Telemetry,
) -> anyhow::Result<Handle> {
    // Where there is one broker, the address that everything else talks to is its own.
    let public_url = settings.broker_public_url.as_ref();
    let public_url = public_url.or(settings.broker.as_ref());
    let options = Options {
        public_url: public_url.map(ToString::to_string),
        allowed_hosts: settings.allowed_hosts.clone(),
        traced: settings.traced(),
        sampler: settings.sampler(),
        head: settings.head(),
        token_check: settings.token_check.0,
        token_rates: settings.token_rates(),
        ..Options::new(listen, server_url, secret)
    };
    let tracer = telemetry.tracer("hopline-broker", &super::instance(listen));
    Broker::start(options, tracer, telemetry.metrics().clone())
        .await
        .map_err(|error| {
            let taken = matches!(error, BrokerError::AddressInUse(_));
            super::not_started("broker", &error, taken)
        })
}
