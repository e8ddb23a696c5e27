//! Who may knock at all: no browser, and nobody who was led here by a name that is not the broker's
//! (DNS rebinding).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Edge, LocalAddress, Refusal};

/// The hosts under which the broker answers, besides those of the loopback.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// The hosts of a broker that listens at `listen` and is reached at `public_url`.
    pub(crate) fn new(listen: SocketAddr, public_url: Option<&str>, more: &[String]) -> Self {
        let public = public_url.and_then(|url| {
            let host = reqwest::Url::parse(url).ok()?.host_str()?.to_owned();
            Some(host)
        });
        let names = more.iter().cloned().chain(public);
        Self {
            listen: listen.ip(),
            names: names.map(|name| bare(&name)).collect(),
        }
    }

    /// Whether a request under `host` that came in at the address `local` is meant for this broker.
    fn allow(&self, host: &str, local: IpAddr) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = bare(authority.host());
        if let Ok(address) = name.parse::<IpAddr>() {
            let everywhere = self.listen.is_unspecified();
            let here = if everywhere { local } else { self.listen };
            // Whoever connects to the unspecified address reaches this machine, and an address cannot be rebound.
            if address.is_loopback()
                || address.to_canonical() == here.to_canonical()
                || (everywhere && address.is_unspecified())
            {
                return true;
            }
        }
        name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
    }
}

/// A host in lower case, an IPv6 address without its brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

/// Lets a request pass that comes from no web page and under one of the broker's names.
pub(super) async fn guard(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(LocalAddress(local)): ConnectInfo<LocalAddress>,
    request: Request,
    next: Next,
) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        let error = "the broker does not answer web pages";
        return Refusal::new(StatusCode::FORBIDDEN, "foreign_origin", error).into_response();
    }
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(Authority::as_str));
    if !host.is_some_and(|host| edge.hosts.allow(host, local.ip().to_canonical())) {
        let error = "the broker does not answer under this host; name it in the allowed hosts";
        return Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", error)
            .into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_answers_under_its_own_names_alone() {
        let local: IpAddr = "10.0.0.5".parse().unwrap();
        let hosts = Hosts::new(
            "127.0.0.1:4701".parse().unwrap(),
            Some("https://Broker.example.com/x"),
            &["other".into()],
        );
        for host in [
            "localhost",
            "LOCALHOST:4701",
            "127.0.0.1:9",
            "[::1]:4701",
            "broker.example.com",
            "other:80",
        ] {
            assert!(hosts.allow(host, local), "{host}");
        }
        for host in [
            "evil.example.com",
            "10.0.0.5",
            "localhost.evil.com",
            "",
            "a b",
        ] {
            assert!(!hosts.allow(host, local), "{host}");
        }
        let everywhere = Hosts::new("0.0.0.0:4701".parse().unwrap(), None, &[]);
        for host in ["10.0.0.5:4701", "0.0.0.0:4701", "[::]:4701"] {
            assert!(everywhere.allow(host, local), "{host}");
        }
        assert!(!everywhere.allow("10.0.0.6", local));
        assert!(!hosts.allow("0.0.0.0:4701", local));
    }
}
