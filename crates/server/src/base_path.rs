//! The path below which people reach the server, where a proxy serves other things beside it.
//!
//! Some proxies take such a path off before they pass a request on, others leave it: requests are served with and without
//! it. What the server says of itself to browsers (the console's `<base>`, redirects, the cookie's path, sign-in links) has it.

use std::fmt;
use std::str::FromStr;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::{Next, from_fn};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::console;

/// What the server's own paths begin with, the console's pages apart: a base path that began so would be mistaken for one.
const OWN: [&str; 10] = [
    "api",
    "assets",
    "health",
    "jaeger",
    "metrics",
    "openapi.json",
    "signin",
    "signout",
    "v1",
    "ws",
];

/// The longest base path, in bytes.
const LONGEST: usize = 200;

/// A path that begins and ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// With its slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the slash at its end: what a path of the server's is written behind.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.trim_end_matches('/')
    }

    /// The path of a cookie for everything below: without its last slash, which would leave the base path itself out.
    pub(crate) fn of_cookie(&self) -> &str {
        match self.prefix() {
            "" => "/",
            prefix => prefix,
        }
    }

    /// The same routes with and without this path before them.
    pub(crate) fn before(&self, routes: Router) -> Router {
        let prefix: std::sync::Arc<str> = self.prefix().into();
        if prefix.is_empty() {
            return routes;
        }
        // Routes are chosen by the path, so it must be taken off before.
        Router::new().fallback_service(routes).layer(from_fn(
            move |mut request: Request, next: Next| {
                if let Some(without) = taken_off(&prefix, request.uri()) {
                    *request.uri_mut() = without;
                }
                next.run(request)
            },
        ))
    }
}

impl Default for BasePath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let within = text
            .strip_prefix('/')
            .map(|rest| rest.trim_end_matches('/'));
        let within = within.filter(|within| within.len() <= LONGEST);
        let within = within.ok_or("expected a path such as /hopline/")?;
        if within.is_empty() {
            return Ok(Self::default());
        }
        let is_plain = |part: &str| {
            let marks = b"-_~.";
            let mut bytes = part.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
                && !matches!(part, "" | "." | "..")
        };
        if !within.split('/').all(is_plain) {
            return Err(
                "expected a path of letters, digits and - _ ~ . such as /hopline/".to_owned(),
            );
        }
        let first = within.split('/').next().unwrap_or_default();
        if OWN.contains(&first) || console::PAGES.contains(&first) {
            return Err(format!(
                "expected a path that begins otherwise than /{first}, which is one of Hopline's own"
            ));
        }
        Ok(Self(format!("/{within}/")))
    }
}

impl<'de> Deserialize<'de> for BasePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for BasePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The address without a prefix of its path; none if it has another.
fn taken_off(prefix: &str, uri: &Uri) -> Option<Uri> {
    let all = uri.path_and_query()?.as_str();
    let rest = all.strip_prefix(prefix)?;
    let rest: PathAndQuery = match rest.as_bytes().first() {
        Some(b'/') => rest.parse().ok()?,
        None | Some(b'?') => format!("/{rest}").parse().ok()?,
        Some(_) => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_with_and_without_slashes_at_its_end() {
        for (text, path) in [
            ("/", "/"),
            ("//", "/"),
            ("/hopline", "/hopline/"),
            ("/hopline/", "/hopline/"),
            ("/tools/hop-line_2.0~x//", "/tools/hop-line_2.0~x/"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), path, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_or_one_of_the_servers_own_is_refused_with_what_was_expected() {
        let long = format!("/{}", "x".repeat(201));
        for text in [
            "",
            "hopline",
            "https://a/b",
            "/a b",
            "/a//b",
            "/../b",
            "/a/./b",
            "/é",
            "/a?b",
            "/\"x",
            "/<x>",
            "/a%2fb",
            "/api",
            "/api/x",
            "/builds/",
            "/ws",
            "/signin",
            &long,
        ] {
            let problem = text.parse::<BasePath>().unwrap_err();
            assert!(problem.starts_with("expected a path"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_prefix_is_taken_off_whole_parts_of_a_path_once() {
        let off = |uri: &str| taken_off("/hop", &uri.parse().unwrap()).map(|uri| uri.to_string());
        for (uri, without) in [
            ("/hop", Some("/")),
            ("/hop?x=1", Some("/?x=1")),
            ("/hop/", Some("/")),
            ("/hop/api/builds?limit=2", Some("/api/builds?limit=2")),
            ("/hop/hop/x", Some("/hop/x")),
            ("http://h:1/hop/x", Some("http://h:1/x")),
            ("/hopline/x", None),
            ("/api/hop", None),
            ("/", None),
        ] {
            assert_eq!(off(uri).as_deref(), without, "{uri}");
        }
    }
}
