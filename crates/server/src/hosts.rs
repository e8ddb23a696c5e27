//! Which names the server answers to, and whose pages may call it. Both are asked of every request, before
//! anything else.
//!
//! A request whose `Host` is not one of the server's names is misdirected (421): otherwise a name that
//! an attacker points at this machine would make the attacker's page look like ours (DNS rebinding).
//! A request with an `Origin` comes from a page; unless that is ours or listed, it is refused (403). Only
//! trace ingest takes spans of any page, since its keys can do nothing else; the console's cookie is no key there for any
//! page but ours.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::options::Options;

/// The names and origins that are let through.
pub(crate) struct Hosts {
    names: HashSet<String>,
    /// Listening on every address of the machine, each may be asked for; an address cannot be rebound.
    any_address: bool,
    origins: HashSet<String>,
    /// That of the console where people reach the server.
    public: Option<String>,
}

impl Hosts {
    /// The names of a server that listens at `address`.
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Self {
        let mut names: HashSet<_> = options
            .allowed_hosts
            .iter()
            .map(|host| host_name(host).to_ascii_lowercase())
            .collect();
        names.insert(address.ip().to_string());
        let public = options.public_url.as_deref().and_then(authority);
        names.extend(public.map(|public| host_name(public).to_ascii_lowercase()));
        let origins = options
            .allowed_origins
            .iter()
            .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
            .collect();
        Self {
            names,
            any_address: address.ip().is_unspecified(),
            origins,
            public: options.public_url.as_deref().and_then(origin_of),
        }
    }

    fn knows(&self, host: &str) -> bool {
        let name = host_name(host);
        if let Ok(address) = name.parse::<IpAddr>() {
            return address.is_loopback()
                || self.any_address
                || self.names.contains(&address.to_string());
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
    }

    /// Whether pages of this origin may call the server under the name `host`.
    fn lets_in(&self, origin: &str, host: &str) -> Page {
        let origin = origin.to_ascii_lowercase();
        let port = match origin.split_once("://") {
            Some(("http", _)) => 80,
            Some(("https", _)) => 443,
            _ => return Page::Foreign,
        };
        let here = authority(&origin).map(|authority| with_port(authority, port));
        if here == Some(with_port(&host.to_ascii_lowercase(), port)) {
            return Page::Own;
        }
        if self.public.as_ref() == Some(&origin) {
            return Page::Public;
        }
        if self.origins.contains(&origin) {
            return Page::Listed;
        }
        Page::Foreign
    }
}

/// Whose page a request comes from. [`guard`] leaves it with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// None that says so: a program, or a browser that only looks.
    Nobodys,
    /// The console.
    Own,
    /// The console at `public_url`, asking for another name: a proxy may have put its own in `Host`.
    Public,
    /// One of those that may call the API.
    Listed,
    /// Any other, which may send spans and nothing else.
    Foreign,
}

impl Page {
    /// Whether it is the console.
    pub(crate) fn is_console(self) -> bool {
        matches!(self, Self::Own | Self::Public)
    }
}

/// The part of a URL between `//` and the path.
fn authority(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split(['/', '?', '#']).next()
}

/// A URL without its path.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    let scheme = url.split_once("://")?.0;
    Some(format!("{scheme}://{}", authority(url)?).to_ascii_lowercase())
}

/// A `Host` without its port, an IPv6 address without its brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

fn with_port(host: &str, default: u16) -> (String, u16) {
    let port = host
        .rsplit_once(':')
        .filter(|(name, _)| !name.contains(':') || name.ends_with(']'))
        .and_then(|(_, port)| port.parse().ok());
    (host_name(host).to_owned(), port.unwrap_or(default))
}

/// Lets a request through to its route, or answers in its place. The outermost layer: it also turns a panic
/// into an answer, and adds the headers that every answer bears.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let spans = takes_spans(request.uri().path());
    let admitted = admit(&app.hosts, &request, spans);
    let mut allowed = None;
    if let Ok(page) = &admitted {
        allowed = allowed_origin(*page, &request);
        request.extensions_mut().insert(*page);
    }
    let mut response = match admitted {
        Err(error) => error.into_response(),
        Ok(_) if allowed.is_some() && is_preflight(&request) => {
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(_) => AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                // The panic hook has told what happened and where.
                ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the request failed; the server's log says why",
                )
                .into_response()
            }),
    };
    finish(response.headers_mut(), allowed);
    response
}

/// Checks `Host` and `Origin`; tells whose page it is.
fn admit(hosts: &Hosts, request: &Request, spans: bool) -> ApiResult<Page> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| {
            request
                .uri()
                .authority()
                .map(|authority| authority.as_str())
        })
        .unwrap_or_default();
    if !hosts.knows(host) {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            "this server has another name; add the one you use to its allowed hosts",
        ));
    }
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return Ok(Page::Nobodys);
    };
    match hosts.lets_in(origin.to_str().unwrap_or_default(), host) {
        Page::Foreign if !spans => Err(ApiError::forbidden(
            "foreign_origin",
            "pages of this origin may not call this server; add it to its allowed origins",
        )),
        page => Ok(page),
    }
}

/// The origin that the answer is to name, if any.
fn allowed_origin(page: Page, request: &Request) -> Option<HeaderValue> {
    match page {
        Page::Nobodys | Page::Own => None,
        Page::Public | Page::Listed => request.headers().get(header::ORIGIN).cloned(),
        Page::Foreign => Some(HeaderValue::from_static("*")),
    }
}

/// Whether pages of any origin may send there: spans, with a key that lets them do nothing else.
fn takes_spans(path: &str) -> bool {
    let project = path.strip_prefix("/api/").and_then(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        rest.strip_suffix("/envelope")
    });
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    path == "/v1/traces" || project.is_some_and(is_number)
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn finish(headers: &mut HeaderMap, allowed: Option<HeaderValue>) {
    let fixed: [(HeaderName, &str); 2] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What a route says beside that stays.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let Some(origin) = allowed else { return };
    let cors: [(HeaderName, HeaderValue); 5] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, DELETE"),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "authorization, content-type, content-encoding, sentry-trace, baggage, traceparent, tracestate, x-sentry-auth",
            ),
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("retry-after, x-sentry-rate-limits"),
        ),
        (
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("600"),
        ),
    ];
    headers.extend(cors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Secrets;

    fn hosts(listen: &str) -> Hosts {
        let listen = listen.parse().unwrap();
        let options = Options {
            public_url: Some("https://Hopline.example/".into()),
            allowed_hosts: vec!["box.lan".into()],
            allowed_origins: vec!["http://app.example:3000".into()],
            ..Options::new(listen, Secrets::any())
        };
        Hosts::new(&options, listen)
    }

    #[test]
    fn only_the_servers_own_names_are_known() {
        let hosts = hosts("192.0.2.7:4700");
        for known in [
            "localhost",
            "LOCALHOST:4700",
            "x.localhost:1",
            "127.0.0.1:4700",
            "127.8.8.8",
            "[::1]:4700",
            "[::1]",
            "192.0.2.7:99",
            "hopline.example",
            "box.lan:80",
            "box.lan.",
        ] {
            assert!(hosts.knows(known), "{known}");
        }
        for unknown in [
            "",
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "[2001:db8::1]:4700",
            "127.0.0.1.evil.example",
        ] {
            assert!(!hosts.knows(unknown), "{unknown}");
        }
    }

    #[test]
    fn on_every_address_each_address_is_known_and_no_other_name() {
        let hosts = hosts("0.0.0.0:4700");
        assert!(hosts.knows("192.0.2.8:4700") && !hosts.knows("evil.example"));
    }

    #[test]
    fn a_page_is_ours_by_its_host_and_port() {
        let hosts = hosts("127.0.0.1:4700");
        for (origin, host, page) in [
            ("http://localhost:4700", "localhost:4700", Page::Own),
            ("https://hopline.example", "hopline.example", Page::Own),
            ("https://hopline.example", "hopline.example:443", Page::Own),
            ("http://[::1]:4700", "[::1]:4700", Page::Own),
            ("http://localhost:3000", "localhost:4700", Page::Foreign),
            ("http://app.example:3000", "localhost:4700", Page::Listed),
            ("https://hopline.example", "127.0.0.1:4700", Page::Public),
            ("https://app.example:3000", "localhost:4700", Page::Foreign),
            ("http://evil.example", "localhost:4700", Page::Foreign),
            ("null", "localhost:4700", Page::Foreign),
            ("", "localhost:4700", Page::Foreign),
        ] {
            assert_eq!(hosts.lets_in(origin, host), page, "{origin} at {host}");
        }
    }
}
