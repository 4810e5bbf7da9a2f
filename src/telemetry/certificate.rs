//! Whether a call failed because the other side's certificate was not accepted, in words that say what to do.
//! Used by the adapters of GitHub and E2B, which add whose certificate it is.

use rustls::{CertificateError, Error as TlsError};
use std::error::Error;

/// What is wrong with a certificate, to follow "GitHub's certificate"; `None`: the call failed for another reason.
pub fn complaint(error: &(dyn Error + 'static)) -> Option<String> {
    let Some(TlsError::InvalidCertificate(error)) = tls_error(error) else { return None };
    Some(match error {
        CertificateError::UnknownIssuer => {
            "comes from an authority that the operator does not trust: add that authority's own certificate by \
             SLIPWAY_CA_BUNDLE (the chart's caBundle)"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: check the clock of the node".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another host: check the URL, or have the host's name put into it".to_owned()
        }
        // Some of these carry times, which would make the message another one each time.
        other => {
            let debug = format!("{other:?}");
            let name = debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            format!("was not accepted ({name})")
        }
    })
}

/// The first error of TLS below `error`. An `io::Error` hides what it wraps: its source is that of the wrapped one.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(wrapped) = wrapped {
            return tls_error(wrapped);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    fn told(error: TlsError) -> Option<String> {
        complaint(&Outer(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error))))
    }

    #[test]
    fn a_certificate_is_found_below_whatever_wraps_it() {
        let of = |error| told(TlsError::InvalidCertificate(error)).expect("a complaint");
        assert!(of(CertificateError::UnknownIssuer).contains("caBundle"));
        assert_eq!(of(CertificateError::Expired), "has expired");
        assert!(of(CertificateError::NotValidForName).contains("another host"));
        assert_eq!(of(CertificateError::BadSignature), "was not accepted (BadSignature)");
        assert_eq!(told(TlsError::DecryptError), None);
        assert_eq!(complaint(&io::Error::other("refused")), None);
    }
}
