//! The console: the pages that people look at, served by the program itself.
//!
//! Its files are those of `web/console/dist`, built into the program where they are there when it is built; without them
//! everything else works, and the front page says how to get the console. They are all that a browser may read without a
//! credential: what they show, they ask the API for.
//!
//! The pages run nothing that is not one of these files: see `POLICY`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;

use crate::base_path::BasePath;
use crate::representation::{Coding, Tag};

#[cfg(test)]
mod tests;

/// A file of the console, as its build made it.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it lies within the console, such as `assets/index-D67CywkG.js`.
    pub path: &'static str,
    /// What is in it.
    pub content: &'static [u8],
    /// The same compressed with Brotli, if that makes it smaller.
    pub brotli: Option<&'static [u8]>,
    /// The same with gzip.
    pub gzip: Option<&'static [u8]>,
}

/// The console that was there when this was built; empty if none was.
pub static EMBEDDED: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The file that every page is, and the element of it that says below which path everything is. `build.rs` sees to both.
const INDEX: &str = "index.html";
const BASE: &str = "<base href=\"/\"";

/// The first parts of the paths of the console's pages, the front page apart (`web/console/src/app/router.tsx`).
pub(crate) const PAGES: [&str; 6] = [
    "builds",
    "traces",
    "explore",
    "dashboards",
    "runners",
    "signin",
];

/// What lies below this has a name that changes with its content.
const HASHED: &str = "assets/";

/// What a page may load, run and talk to: what this server serves, and nothing that stands in the page itself. So neither a
/// build's output nor a span's name can ever be run, whatever else goes wrong.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; \
                      frame-ancestors 'none'";

/// What no page of ours has any use for.
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// In which order compressed files are preferred.
const CODINGS: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

/// What is served of the console.
pub(crate) struct Console {
    /// The page.
    index: Option<(Bytes, u64)>,
    /// All other files by their paths, with what tells their contents apart.
    files: HashMap<&'static str, (File, u64)>,
}

impl Console {
    /// The console of these files, for browsers that reach it below this path.
    pub(crate) fn new(files: &[File], base: &BasePath) -> Self {
        let index = files.iter().find(|file| file.path == INDEX);
        let index = index.map(|file| {
            let page = String::from_utf8_lossy(file.content);
            let page = page.replacen(BASE, &format!("<base href=\"{base}\""), 1);
            let fingerprint = fingerprint(page.as_bytes());
            (Bytes::from(page), fingerprint)
        });
        let others = files.iter().filter(|file| file.path != INDEX);
        let others = others.map(|file| (file.path, (*file, fingerprint(file.content))));
        Self {
            index,
            files: others.collect(),
        }
    }

    /// Whether there is one.
    pub(crate) const fn is_there(&self) -> bool {
        self.index.is_some()
    }

    /// What is at a path; none if the console has nothing there.
    pub(crate) fn at(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let within = path.strip_prefix('/')?;
        if let Some((file, fingerprint)) = self.files.get(within) {
            return Some(file_answer(file, *fingerprint, headers));
        }
        (self.is_there() && is_page(within)).then(|| self.page(headers))
    }

    /// The page, whichever it is; or how to get one.
    pub(crate) fn page(&self, headers: &HeaderMap) -> Response {
        let Some((page, fingerprint)) = &self.index else {
            return guarded(Html(NO_CONSOLE).into_response());
        };
        let tag = Tag::of(*fingerprint, Coding::Identity);
        if tag.is_known(headers) {
            return unchanged(tag, REVALIDATED);
        }
        let kept = kept(tag, REVALIDATED);
        guarded((kept, Html(page.clone())).into_response())
    }
}

/// Whether a path without its first slash is that of a page: one of [`PAGES`], or one thing of its kind.
fn is_page(path: &str) -> bool {
    let mut parts = path.trim_end_matches('/').split('/');
    let is_known = parts.next().is_some_and(|first| PAGES.contains(&first));
    is_known && parts.count() < 2
}

/// How long browsers keep what has its content in its name, and how they ask for the rest.
const FOREVER: &str = "public, max-age=31536000, immutable";
const REVALIDATED: &str = "no-cache";

fn file_answer(file: &File, fingerprint: u64, headers: &HeaderMap) -> Response {
    let compressed = |coding: Coding| match coding {
        Coding::Brotli => file.brotli,
        Coding::Gzip => file.gzip,
        Coding::Identity | Coding::Zstd => None,
    };
    let offered = CODINGS.map(|coding| compressed(coding).map(|_| coding));
    let offered: Vec<_> = offered.into_iter().flatten().collect();
    let coding = Coding::accepted(headers, &offered);
    let tag = Tag::of(fingerprint, coding);
    let cached = match file.path.starts_with(HASHED) {
        true => FOREVER,
        false => REVALIDATED,
    };
    if tag.is_known(headers) {
        return unchanged(tag, cached);
    }
    let content = compressed(coding).unwrap_or(file.content);
    let kind = [(header::CONTENT_TYPE, content_type(file.path))];
    let coding = coding.name().map(|name| [(header::CONTENT_ENCODING, name)]);
    guarded((kind, coding, kept(tag, cached), Bytes::from_static(content)).into_response())
}

fn unchanged(tag: Tag, cached: &'static str) -> Response {
    (StatusCode::NOT_MODIFIED, kept(tag, cached)).into_response()
}

fn kept(tag: Tag, cached: &'static str) -> [(HeaderName, HeaderValue); 3] {
    let fixed = HeaderValue::from_static;
    [
        (header::ETAG, tag.into_value()),
        (header::CACHE_CONTROL, fixed(cached)),
        (header::VARY, fixed("Accept-Encoding")),
    ]
}

/// Adds what keeps a page to itself. That types are not guessed and referrers not told is said of all answers.
fn guarded(mut response: Response) -> Response {
    let headers: [(HeaderName, &'static str); 3] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    response.headers_mut().extend(headers);
    response
}

fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// What stands at the front where no console was built in.
const NO_CONSOLE: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Hopline</title>\n</head>\n<body>\n\
<h1>Hopline runs. Its console was not built into this program.</h1>\n\
<p>To get it, run <code>make build</code> in a checkout of Hopline, on a machine with Node 20.19 or newer, and start \
<code>target/release/hopline</code>.</p>\n\
<p>Everything else works: <code>hopline builds</code> and <code>hopline trace</code> show in a terminal what runs and \
where time goes; the API is under <code>api/</code> and described in <code>openapi.json</code>, live updates come from \
<code>ws</code>, metrics from <code>metrics</code>, and spans go to <code>v1/traces</code>.</p>\n</body>\n</html>\n";
