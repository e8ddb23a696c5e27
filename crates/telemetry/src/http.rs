//! The HTTP client that the parts share.

use std::sync::Once;

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
/// Hopline's answers with one, and a credential must not be carried elsewhere.
pub fn client_builder() -> reqwest::ClientBuilder {
    install_tls_provider();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("hopline/", env!("CARGO_PKG_VERSION")))
}
