//! Reads the certificate and the key for TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::Tls;

/// An acceptor for TLS connections with the certificate and key from these files.
pub(super) fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("cert", &tls.cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unusable("key", &tls.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| {
            let (cert, key) = (tls.cert.display(), tls.key.display());
            let message =
                format!("[server.tls] the certificate {cert} and the key {key} do not work: {error}");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Refuses files with which no connection could be encrypted.
pub(crate) fn check(tls: &Tls) -> io::Result<()> {
    acceptor(tls).map(drop)
}

fn unusable(key: &str, path: &Path, error: &PemError) -> io::Error {
    let message = format!("[server.tls] {key}: {} cannot be read as PEM: {error}", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
