//! The HTTP client that the parts share, and the proxies it goes through.

use std::sync::Once;

use reqwest::{ClientBuilder, NoProxy, Proxy};

/// What is on this machine: never reached through a proxy, which would look for it on its own.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1,0.0.0.0,::";

/// Makes the TLS provider known to this process, if no other is. Whoever opens a TLS connection calls it
/// first; calling it again does nothing.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the program has chosen a provider of its own, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A builder for HTTP clients with this process's TLS provider. Redirects are not followed: no peer of
/// Hopline's answers with one, and a credential must not be carried elsewhere. Proxies are those of the
/// environment, as everywhere, but never for this machine: the parts talk over loopback, and neither their
/// secrets nor their events are a proxy's business.
pub fn client_builder() -> ClientBuilder {
    install_tls_provider();
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("hopline/", env!("CARGO_PKG_VERSION")));
    through_proxies(builder, |name| std::env::var(name).ok())
}

/// Sets the proxies that `variable` names, by the names and the precedence that curl and reqwest know. They are read
/// here because reqwest, once it has read them itself, takes no exception for this machine.
fn through_proxies(
    builder: ClientBuilder,
    variable: impl Fn(&str) -> Option<String>,
) -> ClientBuilder {
    let mut builder = builder.no_proxy();
    // To a CGI program, HTTP_PROXY is a header of the request that it answers.
    if variable("REQUEST_METHOD").is_some() {
        return builder;
    }
    let either = |upper: &str, lower: &str| variable(upper).or_else(|| variable(lower));
    let all = either("ALL_PROXY", "all_proxy");
    let others = either("NO_PROXY", "no_proxy").unwrap_or_default();
    let direct = NoProxy::from_string(&format!("{THIS_MACHINE},{others}"));
    let http = either("HTTP_PROXY", "http_proxy").or_else(|| all.clone());
    let https = either("HTTPS_PROXY", "https_proxy").or(all);
    // What is no address of a proxy is passed over, as reqwest does.
    let http = http.and_then(|url| Proxy::http(url).ok());
    let https = https.and_then(|url| Proxy::https(url).ok());
    for proxy in http.into_iter().chain(https) {
        builder = builder.proxy(proxy.no_proxy(direct.clone()));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    /// A listener that answers every request with its name.
    async fn answering(name: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(async move || name);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn ask(client: &reqwest::Client, url: String) -> String {
        client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// A client in this environment, for which `elsewhere.test` lies at `here`.
    fn client(here: SocketAddr, variables: &[(&str, String)]) -> reqwest::Client {
        install_tls_provider();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let builder = reqwest::Client::builder().resolve("elsewhere.test", here);
        through_proxies(builder, variable).build().unwrap()
    }

    #[tokio::test]
    async fn this_machine_is_never_reached_through_a_proxy_and_others_are() {
        let (proxy, here) = (answering("proxy").await, answering("here").await);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            let excepted = ("NO_PROXY", "elsewhere.test".to_owned());
            let client = client(here, &[(name, proxy.to_string()), excepted]);
            for host in ["127.0.0.1", "localhost", "0.0.0.0", "elsewhere.test"] {
                let url = format!("http://{host}:{}", here.port());
                assert_eq!(ask(&client, url).await, "here", "{name} {host}");
            }
            let url = "http://hopline.test/".to_owned();
            assert_eq!(ask(&client, url).await, "proxy", "{name}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_makes_no_sense_is_passed_over() {
        let here = answering("here").await;
        let client = client(here, &[("HTTP_PROXY", "http://".into())]);
        assert_eq!(ask(&client, format!("http://{here}")).await, "here");
    }
}
