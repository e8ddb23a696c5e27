//! Why a broker cannot start. Once it has started, nothing makes it give up: faults of runners and of
//! the server are counted, logged and waited out.

use std::io;
use std::net::SocketAddr;

/// Why a broker cannot start. None of these is mended by trying again with the same options, but
/// [`BrokerError::AddressInUse`], once the other program has ended.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Another program listens at the address.
    #[error("listen on {0}: another program is listening there")]
    AddressInUse(SocketAddr),
    /// The system does not let the broker listen at the address.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The server's address is no URL of `http` or `https`.
    #[error("use {url:?} as the server's address: expected a URL such as http://127.0.0.1:4700")]
    ServerUrl {
        /// The address, as it was given.
        url: String,
    },
    /// The broker's public address is no URL.
    #[error(
        "use {url:?} as the broker's public address: expected a URL such as https://broker.example.com"
    )]
    PublicUrl {
        /// The address, as it was given.
        url: String,
    },
    /// The HTTP client cannot be made.
    #[error("make the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}
