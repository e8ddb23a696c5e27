//! Whom a command talks to: the server it was told, or the running Hopline that holds the data folder.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hopline_wire::secret::Secret;

use super::credentials::{Credentials, Peer};
use crate::api::ApiClient;
use crate::data::{DataFolder, Holder};
use crate::exit::{self, Failure};
use crate::settings::Settings;

/// How long a Hopline that is starting is waited for.
const STARTING: Duration = Duration::from_secs(10);

/// How often its lock file is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running server.
pub(crate) struct Target {
    /// Its API.
    pub(crate) api: ApiClient,
    /// What a runner shows its broker, or why there is nothing that it could show.
    pub(crate) runner_secret: Result<Secret, Failure>,
    /// The broker beside it, where the lock file names one.
    pub(crate) broker: Option<SocketAddr>,
}

/// The server to talk to, if there is one: the one that was named, else the one that holds the data folder.
///
/// # Errors
/// If the folder cannot be read, or no credential for the server is known.
pub(crate) async fn find(settings: &Settings) -> anyhow::Result<Option<Target>> {
    if let Some(server) = &settings.server {
        return Ok(Some(target(
            settings,
            server.as_str(),
            Peer::Server(server),
        )?));
    }
    let data = DataFolder::at(settings.data_folder());
    let Some((server, holder)) = running(&data).await? else {
        return Ok(None);
    };
    let base = format!("http://{}", reachable(server));
    let mut target = target(settings, &base, Peer::Found)?;
    target.broker = holder.broker.map(reachable);
    Ok(Some(target))
}

/// The server to talk to.
///
/// # Errors
/// As [`find`], and if there is none.
pub(crate) async fn require(settings: &Settings) -> anyhow::Result<Target> {
    match find(settings).await? {
        Some(target) => Ok(target),
        None => Err(Failure::new(
            exit::UNAVAILABLE,
            format!(
                "no Hopline is running with the data folder {}: start one with: hopline up",
                settings.data_folder().display()
            ),
        )
        .into()),
    }
}

fn target(settings: &Settings, base: &str, server: Peer<'_>) -> anyhow::Result<Target> {
    let credentials = Credentials::read(settings)?;
    // A broker that nobody named is one that the server tells of, or the one beside it.
    let broker = settings.broker.as_ref().map_or(server, Peer::Broker);
    Ok(Target {
        api: ApiClient::new(base, credentials.admin(server)?)?,
        runner_secret: credentials.runner(broker),
        broker: None,
    })
}

/// Who holds the folder, once its server listens.
async fn running(data: &DataFolder) -> anyhow::Result<Option<(SocketAddr, Holder)>> {
    let deadline = Instant::now() + STARTING;
    loop {
        let Some(holder) = data.holder()? else {
            return Ok(None);
        };
        if let Some(server) = holder.server {
            return Ok(Some((server, holder)));
        }
        if Instant::now() >= deadline {
            let told = format!(
                "the Hopline that holds {} (pid {}) has been starting for {} s",
                data.path().display(),
                holder.pid,
                STARTING.as_secs(),
            );
            return Err(Failure::new(exit::UNAVAILABLE, told).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// An address that can be connected to: where all addresses are listened on, loopback is one of them.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port())
        }
        _ => address,
    }
}
