//! The broker's address, and the opening of a WebSocket there.

use std::time::Duration;

use hopline_telemetry::http::install_tls_provider;
use hopline_wire::link::{PATH, SUBPROTOCOL};
use hopline_wire::secret::Secret;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Refusal;
use super::session::End;

/// How long opening a link may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest command taken, in bytes: a file to write, in base 64, with room to spare.
const MAX_COMMAND_BYTES: usize = 64 << 20;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An address that no broker can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the broker's address as ws://HOST:PORT or wss://HOST:PORT: {0}")]
pub struct BadBrokerUrl(String);

/// The address of the link.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    uri: Uri,
}

impl Endpoint {
    /// The link's address at the broker `url`, for the runner of that id.
    pub(crate) fn new(url: &str, runner_id: &str) -> Result<Self, BadBrokerUrl> {
        // The address could hold a password and is not repeated.
        let base: Uri = url
            .trim_end_matches('/')
            .parse()
            .map_err(|_| BadBrokerUrl("it is no address".into()))?;
        let scheme = base.scheme_str().unwrap_or_default();
        if scheme != "ws" && scheme != "wss" {
            return Err(BadBrokerUrl(
                "it does not begin with ws:// or wss://".into(),
            ));
        }
        let authority = base
            .authority()
            .ok_or_else(|| BadBrokerUrl("it names no host".into()))?;
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix(PATH).unwrap_or(path);
        let uri = format!(
            "{scheme}://{authority}{path}{PATH}?runnerId={}",
            percent_encode(runner_id)
        );
        let uri = uri
            .parse()
            .map_err(|_| BadBrokerUrl("it is no address".into()))?;
        Ok(Self { uri })
    }

    /// Host and port, for messages.
    pub(super) fn shown(&self) -> String {
        let host = self.uri.host().unwrap_or_default();
        self.uri
            .port_u16()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Opens a link; answers whether the broker took the subprotocol.
    pub(super) async fn connect(
        &self,
        secret: &Secret,
        offer_v1: bool,
    ) -> Result<(Socket, bool), End> {
        install_tls_provider();
        let request = self.request(secret, offer_v1)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_COMMAND_BYTES))
            .max_frame_size(Some(MAX_COMMAND_BYTES));
        let connecting = connect_async_with_config(request, Some(config), true);
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, Box::pin(connecting))
            .await
            .map_err(|_| End::Broken("opening it took too long".into()))?;
        let (socket, response) = opened.map_err(failed)?;
        let answered = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        Ok((socket, answered.is_some_and(|name| name == SUBPROTOCOL)))
    }

    fn request(&self, secret: &Secret, offer_v1: bool) -> Result<Request<()>, End> {
        let unfit = |what: &str| End::Broken(format!("{what} cannot be sent"));
        let mut request = self
            .uri
            .clone()
            .into_client_request()
            .map_err(|_| unfit("the address"))?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", secret.expose()))
            .map_err(|_| unfit("the secret"))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        if offer_v1 {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        }
        Ok(request)
    }
}

fn failed(error: Error) -> End {
    match &error {
        Error::Http(response) if matches!(response.status().as_u16(), 401 | 403) => {
            End::Refused(Refusal::WrongSecret)
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol,
        )) => End::NoSubprotocol,
        _ => End::Broken(error.to_string()),
    }
}

/// A text as part of an address's query (RFC 3986, section 2.1).
fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_address_is_the_brokers_with_path_and_runner() {
        for (url, expected) in [
            ("ws://h:4701", "ws://h:4701/socket?runnerId=a%20b"),
            ("wss://h/", "wss://h/socket?runnerId=a%20b"),
            ("ws://h/x/socket", "ws://h/x/socket?runnerId=a%20b"),
        ] {
            let endpoint = Endpoint::new(url, "a b").unwrap();
            assert_eq!(endpoint.uri.to_string(), expected);
        }
        assert_eq!(Endpoint::new("ws://u:p@h:1", "r").unwrap().shown(), "h:1");
    }

    #[test]
    fn an_address_that_no_broker_can_have_is_refused_and_not_repeated() {
        for url in [
            "http://u:hunter2@h",
            "h:1",
            "ws://",
            "",
            "ws://u:hunter2@h h",
        ] {
            let error = Endpoint::new(url, "r").unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
