//! Everything but the runner, in this process: the data folder, the stores, the server, a broker.
//!
//! The order of an end: whoever started a runner ends it first, then [`House::close`] takes the broker, the
//! server, the processor, the rows and the telemetry, and what is left are the spans, which can still be
//! read ([`Remains`]).

use std::net::SocketAddr;
use std::sync::Arc;

use super::server::ServerSide;
use super::stores::Stores;
use super::telemetry::Telemetry;
use super::{Deadlines, broker, figures, server, within};
use crate::commands::credentials::check_servers_broker;
use crate::data::{DataError, DataFolder, Hold, Secrets};
use crate::settings::Settings;

/// Where the parts are to listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listen {
    /// The server.
    pub(crate) server: SocketAddr,
    /// The server, for spans over gRPC; none if it takes none.
    pub(crate) grpc: Option<SocketAddr>,
    /// The broker; none if it runs elsewhere.
    pub(crate) broker: Option<SocketAddr>,
}

/// The parts, running.
pub(crate) struct House {
    /// The credentials.
    pub(crate) secrets: Secrets,
    /// Rows and spans.
    pub(crate) stores: Stores,
    /// The process's telemetry.
    pub(crate) telemetry: Telemetry,
    /// Server and processor.
    pub(crate) server_side: ServerSide,
    /// The broker, if there is one in this process.
    pub(crate) broker: Option<hopline_broker::Handle>,
    hold: Hold,
}

/// What is left of a house that has closed: its spans and the hold on the folder.
pub(crate) struct Remains {
    stores: Stores,
    _hold: Hold,
}

impl House {
    /// Starts everything, and tells in the lock file where it listens.
    ///
    /// # Errors
    /// If the stores cannot be opened, an address is taken, or the folder cannot be written.
    pub(crate) async fn start(
        settings: &Settings,
        data: &DataFolder,
        mut hold: Hold,
        listen: Listen,
    ) -> anyhow::Result<Self> {
        check_servers_broker(settings)?;
        let secrets = data.secrets_or_new()?.with_settings(settings);
        let stores = Stores::open(settings).await?;
        stores.start_settling(settings)?;
        let telemetry = Telemetry::start(settings, Some(Arc::clone(&stores.traces) as _), None)?;
        figures::register_traces(telemetry.metrics(), Arc::clone(&stores.traces));
        let server_side = server::start(settings, listen, &secrets, &stores, &telemetry).await?;
        let server = server_side.server.address();
        let broker = match listen.broker {
            None => None,
            Some(listen) => {
                let url = format!("http://{}", crate::commands::target::reachable(server));
                let secret = secrets.runner.clone();
                Some(broker::start(settings, listen, &url, secret, &telemetry).await?)
            }
        };
        hold.announce(server, broker.as_ref().map(hopline_broker::Handle::address))?;
        Ok(Self {
            secrets,
            stores,
            telemetry,
            server_side,
            broker,
            hold,
        })
    }

    /// Lets nobody find the server any more, unless someone uses it who has found it by the lock file: false then.
    ///
    /// # Errors
    /// If the data folder cannot be written.
    pub(crate) fn close_door(&mut self) -> Result<bool, DataError> {
        self.hold.close_door()
    }

    /// The server's address, as processes on this machine reach it.
    pub(crate) fn server_url(&self) -> String {
        let address = self.server_side.server.address();
        format!("http://{}", crate::commands::target::reachable(address))
    }

    /// Where the server takes spans over gRPC, likewise.
    pub(crate) fn grpc_url(&self) -> Option<String> {
        let address = self.server_side.server.grpc_address()?;
        Some(format!(
            "http://{}",
            crate::commands::target::reachable(address)
        ))
    }

    /// The broker's address, likewise.
    pub(crate) fn broker_url(&self) -> Option<String> {
        let address = self.broker.as_ref()?.address();
        Some(format!(
            "http://{}",
            crate::commands::target::reachable(address)
        ))
    }

    /// Ends everything in order; each step is given up at its deadline.
    pub(crate) async fn close(self, deadlines: Deadlines) -> Remains {
        if let Some(broker) = self.broker {
            broker.shutdown(within(deadlines.in_flight)).await;
        }
        let ServerSide { server, processor } = self.server_side;
        server
            .shutdown(within(deadlines.in_flight).into_std())
            .await;
        let stopped = tokio::time::timeout(deadlines.in_flight, processor.stop()).await;
        if stopped.is_err() {
            tracing::warn!(
                "the processor did not end in time; its senders keep what is not committed"
            );
        }
        self.stores.close_rows().await;
        self.telemetry.stop(deadlines.telemetry).await;
        Remains {
            stores: self.stores,
            _hold: self.hold,
        }
    }
}

impl Remains {
    /// The stores, of which the spans can be read.
    pub(crate) const fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Closes the spans and lets go of the folder.
    pub(crate) async fn close(self) {
        self.stores.close_traces().await;
    }
}
