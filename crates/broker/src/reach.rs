//! The address that a broker reports of itself when it is told no public one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};

/// How long the server's name may take to be looked up. Nothing depends on it but the address that is reported.
const PATIENCE: Duration = Duration::from_secs(2);

/// An address at which the server at `server_url` can reach a broker that listens at `listening`. One that listens
/// on every address of its machine is reached at the one that faces the server; where that cannot be told, at
/// the loopback's.
pub(crate) async fn reachable(listening: SocketAddr, server_url: &str) -> SocketAddr {
    if !listening.ip().is_unspecified() {
        return listening;
    }
    let facing = tokio::time::timeout(PATIENCE, facing(listening, server_url)).await;
    let ip = facing.ok().flatten().unwrap_or_else(|| {
        tracing::warn!(
            "it cannot be told at which address the server reaches this broker: give it a public URL, \
             unless both share a machine"
        );
        match listening.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        }
    });
    SocketAddr::new(ip, listening.port())
}

/// This machine's address on the way to the server. The system says it when a datagram socket is connected, which
/// sends nothing.
async fn facing(listening: SocketAddr, server_url: &str) -> Option<IpAddr> {
    let url = reqwest::Url::parse(server_url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port_or_known_default()?;
    for server in lookup_host((host, port)).await.ok()? {
        // A socket of the one family takes no connections of the other; that of IPv6 mostly takes both.
        if listening.is_ipv4() && server.is_ipv6() {
            continue;
        }
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let Ok(socket) = UdpSocket::bind((any, 0)).await else {
            continue;
        };
        if socket.connect(server).await.is_ok()
            && let Ok(local) = socket.local_addr()
            && !local.ip().is_unspecified()
        {
            return Some(local.ip());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_unspecified_address_is_never_reported() {
        let reported = async |listening: &str, server: &str| {
            reachable(listening.parse().unwrap(), server)
                .await
                .to_string()
        };
        let here = "http://127.0.0.1:4700";
        assert_eq!(reported("0.0.0.0:7", here).await, "127.0.0.1:7");
        assert_eq!(reported("[::]:7", here).await, "127.0.0.1:7");
        assert_eq!(
            reported("0.0.0.0:7", "http://0.0.0.0:4700").await,
            "127.0.0.1:7"
        );
        // A name that nobody has (RFC 2606).
        assert_eq!(
            reported("0.0.0.0:7", "http://server.invalid").await,
            "127.0.0.1:7"
        );
        assert_eq!(reported("[::]:7", "http://server.invalid").await, "[::1]:7");
        assert_eq!(reported("192.0.2.7:7", here).await, "192.0.2.7:7");
    }
}
