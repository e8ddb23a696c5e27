//! Whom a command talks to: the server it was told, or the running Hopline that holds the data folder.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hopline_wire::secret::Secret;

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
    /// What a runner shows its broker, where it is known.
    pub(crate) runner_secret: Option<Secret>,
    /// The broker beside it, where the lock file names one.
    pub(crate) broker: Option<SocketAddr>,
}

/// The server to talk to, if there is one: the one that was named, else the one that holds the data folder.
///
/// # Errors
/// If the folder cannot be read, or no credential for the server is known.
pub(crate) async fn find(settings: &Settings) -> anyhow::Result<Option<Target>> {
    let data = DataFolder::at(settings.data_folder());
    if let Some(server) = &settings.server {
        return Ok(Some(named(settings, &data, server.as_str())?));
    }
    let Some((server, holder)) = running(&data).await? else {
        return Ok(None);
    };
    let base = format!("http://{}", reachable(server));
    let mut target = named(settings, &data, &base)?;
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

fn named(settings: &Settings, data: &DataFolder, base: &str) -> anyhow::Result<Target> {
    let kept = data.secrets()?;
    let given = settings.admin_secret.as_ref().map(|secret| &secret.0);
    let admin = given.or(kept.as_ref().map(|kept| &kept.admin));
    let Some(admin) = admin else {
        return Err(Failure::new(
            exit::FORBIDDEN,
            format!("no admin secret for the server at {base}: give it as HOPLINE_ADMIN_SECRET"),
        )
        .into());
    };
    let given = settings.runner_secret.as_ref().map(|secret| &secret.0);
    let runner_secret = given.or(kept.as_ref().map(|kept| &kept.runner)).cloned();
    Ok(Target {
        api: ApiClient::new(base, admin.clone())?,
        runner_secret,
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
