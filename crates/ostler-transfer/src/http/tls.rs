//! TLS: whom we trust, and whom we say we are. The provider is ring, chosen here and not for the whole process.

use super::fault::Fault;
use super::options::Tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Returns a configuration that trusts nobody: for connections without TLS.
pub(crate) fn none() -> Result<ClientConfig, Fault> {
    let builder = versions(provider())?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// Reads the certificates that are trusted, and our own.
pub(crate) fn configure(tls: &Tls, http2: bool) -> Result<ClientConfig, Fault> {
    let provider = provider();
    let builder = versions(Arc::clone(&provider))?;
    let builder = if tls.permissive {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll(provider)))
    } else {
        builder.with_root_certificates(roots(tls.ca_path.as_deref())?)
    };
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(unreadable(certificate))?
        }
    };
    let spoken: &[&[u8]] = if http2 {
        &[b"h2", b"http/1.1"]
    } else {
        &[b"http/1.1"]
    };
    config.alpn_protocols = spoken.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn versions(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Fault> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls(error.to_string()))
}

/// The certificates of a file, or those of the system. Of these a few may be unreadable; a file that somebody named must not be.
fn roots(ca_path: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    if let Some(path) = ca_path {
        for certificate in certificates(path)? {
            store.add(certificate).map_err(unreadable(path))?;
        }
        return Ok(store);
    }
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(Fault::Tls(
            "the system has no certificates to trust (package ca-certificates), and the remote has no tls-ca-path".to_owned(),
        ));
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable(path))?
        .collect();
    let found = found.map_err(unreadable(path))?;
    if found.is_empty() {
        return Err(Fault::Tls(format!("{} holds no certificate", path.display())));
    }
    Ok(found)
}

fn unreadable<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Fault + '_ {
    move |error| Fault::Tls(format!("cannot use {}: {error}", path.display()))
}

/// Takes every certificate, but still checks that the other end has its key.
#[derive(Debug)]
struct TrustsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
