//! The listening socket: connections without delay for small writes, each knowing the address at which
//! it came in.

use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};

/// See the module.
pub(crate) struct Listening(pub(crate) TcpListener);

impl Listener for Listening {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        // Without it a small frame would wait for the peer's acknowledgement; with it failing, it does.
        let _ = stream.set_nodelay(true);
        (stream, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The broker's side of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Listening>> for LocalAddress {
    fn connect_info(stream: IncomingStream<'_, Listening>) -> Self {
        // A connection that is gone already has no address, and nobody to answer.
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        Self(stream.io().local_addr().unwrap_or(unknown))
    }
}
