//! Whom a command talks to: the server it was told, or the running Hopline that holds the data folder.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hopline_wire::secret::Secret;

use super::credentials::{Credentials, Peer};
use crate::api::ApiClient;
use crate::data::{DataError, DataFolder, Guest, Hold, Holder};
use crate::exit::{self, Failure};
use crate::settings::Settings;

/// How long a Hopline that is starting or ending is waited for.
const CHANGING: Duration = Duration::from_secs(10);

/// How long one that reads the folder is waited for.
const LOOKING: Duration = Duration::from_secs(30);

/// How often its lock file is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running server.
pub(crate) struct Target {
    /// Its API.
    pub(crate) api: ApiClient,
    /// What a runner shows its broker, or why there is nothing that it could show.
    pub(crate) runner_secret: Result<Secret, Failure>,
    /// The key by which it takes spans, or why there is none that it could be shown.
    pub(crate) ingest_key: Result<Secret, Failure>,
    /// The broker beside it, where the lock file names one.
    pub(crate) broker: Option<SocketAddr>,
    /// Keeps the server from ending with its own build, where it was found by the lock file.
    pub(crate) guest: Option<Guest>,
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
    let Some((server, holder, guest)) = running(&data).await? else {
        return Ok(None);
    };
    let base = format!("http://{}", reachable(server));
    let mut target = target(settings, &base, Peer::Found)?;
    target.broker = holder.broker.map(reachable);
    target.guest = Some(guest);
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
        ingest_key: credentials.ingest(server),
        broker: None,
        guest: None,
    })
}

/// Who holds the folder, once its server listens, and the place of a guest there.
async fn running(data: &DataFolder) -> anyhow::Result<Option<(SocketAddr, Holder, Guest)>> {
    let begun = Instant::now();
    loop {
        let Some(holder) = data.holder()? else {
            return Ok(None);
        };
        if let Some(server) = holder.server
            && let Some(guest) = data.enter()
            // It may have left between the two.
            && data.holder()?.as_ref() == Some(&holder)
        {
            return Ok(Some((server, holder, guest)));
        }
        let (patience, does) = match holder.server {
            _ if holder.looks => (LOOKING, "reading it"),
            None => (CHANGING, "starting"),
            Some(_) => (CHANGING, "ending"),
        };
        if begun.elapsed() >= patience {
            let told = format!(
                "the Hopline that holds {} (pid {}) has been {does} for {} s",
                data.path().display(),
                holder.pid,
                patience.as_secs(),
            );
            return Err(Failure::new(exit::UNAVAILABLE, told).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Takes the data folder, once whoever only reads it has done so.
///
/// # Errors
/// As [`DataFolder::hold`].
pub(crate) async fn take(data: &DataFolder) -> Result<Hold, DataError> {
    let begun = Instant::now();
    loop {
        match data.hold() {
            Err(DataError::LookedAt { .. }) if begun.elapsed() < LOOKING => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            taken => return taken,
        }
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
