//! Encrypted connections to PostgreSQL, by rustls.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Encryption};
use crate::error::StateError;

const OPERATION: &str = "read the certificates of the database's authorities";

/// What makes the encrypted connections to a database, as its address wants them.
///
/// # Errors
/// [`StateError::Unavailable`] if the file of authorities cannot be read or has none.
pub(super) fn connector(address: &Address) -> Result<MakeRustlsConnect, StateError> {
    let provider = Arc::new(ring::default_provider());
    let failed = |error| StateError::unavailable(OPERATION, error);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let verifier = match address.encryption {
        // Where nothing is encrypted, nothing is asked of this.
        Encryption::None | Encryption::Unverified => Verifier {
            authorities: None,
            checks_name: false,
            provider,
        },
        Encryption::VerifyAuthority | Encryption::VerifyFull => {
            let roots = Arc::new(authorities(address)?);
            let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
            let inner = inner.build().map_err(|error| failed(error.to_string()))?;
            Verifier {
                authorities: Some(inner),
                checks_name: address.encryption == Encryption::VerifyFull,
                provider,
            }
        }
    };
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Those of the named file alone, as libpq has it; else those that the system trusts.
fn authorities(address: &Address) -> Result<RootCertStore, StateError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &address.root_certificates else {
        // Some of a system's may be odd; what counts is whether the database's is among the others.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let told =
        |what: String| StateError::unavailable(OPERATION, format!("{}: {what}", path.display()));
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| told(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| told(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| told(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(told("expected certificates in PEM, found none".into()));
    }
    Ok(roots)
}

/// Judges the certificate that a server shows.
#[derive(Debug)]
struct Verifier {
    /// Those who may have signed it; none if anyone may.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it must be that of the host that was named.
    checks_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = authorities.verify_server_cert(
            certificate,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is looked at last: all else was found to be right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
