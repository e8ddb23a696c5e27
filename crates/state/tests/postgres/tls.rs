//! Connections that are encrypted, to whom they should be.

use hopline_state::Store;
use hopline_state::contract_tests::postgres::{Server, Version};
use hopline_state::postgres::PostgresStore;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::{eventually, operator};

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }
}

/// A server of this name that takes encrypted connections.
async fn encrypting(authority: &Authority, name: &str) -> Server {
    let server = Server::start_with(Version::Debian, &["listen_addresses=127.0.0.1"]);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let certificate = server.write("server.crt", &certificate.pem());
    let key = server.write("server.key", &key.serialize_pem());
    let operator = operator(&server).await;
    for set in [
        format!("ssl_cert_file = '{}'", certificate.display()),
        format!("ssl_key_file = '{}'", key.display()),
        "ssl = on".to_owned(),
    ] {
        let set = format!("ALTER SYSTEM SET {set}");
        operator.batch_execute(&set).await.unwrap();
    }
    operator
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    eventually("it takes encrypted connections", || async {
        let row = operator.query_one("SHOW ssl", &[]).await.unwrap();
        row.get::<_, &str>(0) == "on"
    })
    .await;
    server
}

/// Opens it by this host's name with these settings.
async fn open(server: &Server, host: &str, settings: &str) -> Result<PostgresStore, String> {
    let port = server.port();
    let url = format!("postgres://hopline@{host}:{port}/postgres?{settings}");
    let opened = PostgresStore::open(&url.parse().unwrap(), 1).await;
    opened.map_err(|error| format!("{error:?}"))
}

async fn is_encrypted(server: &Server) -> bool {
    let sql = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE application_name = 'hopline'";
    operator(server)
        .await
        .query_one(sql, &[])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn a_database_is_spoken_to_encrypted_if_it_is_the_one_that_was_meant() {
    let (authority, stranger) = (Authority::new("trusted"), Authority::new("stranger"));
    let server = encrypting(&authority, "localhost").await;
    let trusted = server.write("authority.crt", &authority.certificate.pem());
    let other = server.write("stranger.crt", &stranger.certificate.pem());
    let (trusted, other) = (trusted.display(), other.display());

    for settings in [
        format!("sslmode=verify-full&sslrootcert={trusted}"),
        format!("sslmode=verify-ca&sslrootcert={trusted}"),
        "sslmode=require".to_owned(),
        "sslmode=prefer".to_owned(),
    ] {
        let store = open(&server, "localhost", &settings).await.unwrap();
        assert!(is_encrypted(&server).await, "{settings}");
        store.close().await;
    }
    let store = open(&server, "localhost", "sslmode=disable").await.unwrap();
    assert!(!is_encrypted(&server).await);
    store.close().await;

    // Not the host that was named, though somebody trusted says who it is.
    let full = format!("sslmode=verify-full&sslrootcert={trusted}");
    let refused = open(&server, "127.0.0.1", &full).await.err().unwrap();
    assert!(refused.contains("NotValidForName"), "{refused}");
    let authority_only = format!("sslmode=verify-ca&sslrootcert={trusted}");
    open(&server, "127.0.0.1", &authority_only).await.unwrap();
    // Somebody of whom nobody trusted has said anything.
    for mode in ["verify-full", "verify-ca", "require"] {
        let settings = format!("sslmode={mode}&sslrootcert={other}");
        let refused = open(&server, "localhost", &settings).await.err().unwrap();
        assert!(refused.contains("UnknownIssuer"), "{mode}: {refused}");
    }
}
