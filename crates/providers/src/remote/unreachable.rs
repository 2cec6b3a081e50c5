//! Why a server cannot be reached, as far as whoever runs it can do something about it.

use std::error::Error;
use std::io;

/// The reason in the causes of a failed connection. It quotes none of them, because they may hold the URL and with it a key.
pub(super) fn why(error: &(dyn Error + 'static)) -> &'static str {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.filter_map(reason).last().unwrap_or("no connection could be made")
}

fn reason(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    let io = cause.downcast_ref::<io::Error>();
    let wrapped = io.and_then(|io| io.get_ref()?.downcast_ref::<rustls::Error>());
    match cause.downcast_ref().or(wrapped) {
        Some(rustls::Error::InvalidCertificate(_)) => return Some("its certificate is not accepted"),
        Some(_) => return Some("TLS with it fails"),
        None => {}
    }
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => return Some("it refuses connections"),
        Some(io::ErrorKind::TimedOut) => return Some("it does not answer"),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            return Some("no network leads to it");
        }
        _ => {}
    }
    // The resolver has no type of error of its own.
    let text = cause.to_string();
    let is_dns = text.starts_with("dns error") || text.starts_with("failed to lookup address");
    is_dns.then_some("its name is not found (DNS)")
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("error sending request for url (https://host/?key=s3cret)")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_innermost_known_cause_is_told_and_nothing_is_quoted() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let certificate = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for (cause, said) in [
            (refused(), "it refuses connections"),
            (io::Error::other(certificate), "its certificate is not accepted"),
            (io::Error::other(rustls::Error::DecryptError), "TLS with it fails"),
            (io::Error::other("dns error"), "its name is not found (DNS)"),
            (io::Error::other("failed to lookup address information: s3cret"), "its name is not found (DNS)"),
            (io::Error::other("s3cret"), "no connection could be made"),
        ] {
            assert_eq!(why(&Outer(cause)), said);
        }
    }
}
