//! Which certificate authorities servers are trusted by: the system's (which `SSL_CERT_FILE` replaces), or a company's bundle.

use crate::EnvironmentError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_types::sdk_config::SharedHttpClient;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::OnceLock;

/// A file of certificate authorities that replaces the system's: where its path is from, and the path.
pub(crate) type Bundle = (&'static str, String);

/// A client that trusts the authorities of a file in place of the system's, as the AWS CLI does.
pub(crate) fn with_bundle(bundle: &Bundle) -> Result<SharedHttpClient, EnvironmentError> {
    Ok(client(context_of(bundle)?, ProxyConfig::from_env()))
}

/// A connector that asks servers as the clients of AWS do: by the environment's proxy, with the same authorities.
pub(crate) fn connector(bundle: Option<&Bundle>) -> Result<Connector, EnvironmentError> {
    let context = match bundle {
        Some(bundle) => context_of(bundle)?,
        // The system's own would panic.
        None if is_without_authorities() => trusting_nobody().unwrap_or_default(),
        None => TlsContext::default(),
    };
    let connector = Connector::builder().proxy_config(ProxyConfig::from_env());
    Ok(connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build())
}

fn context_of((name, path): &Bundle) -> Result<TlsContext, EnvironmentError> {
    let failed = |reason: &dyn std::fmt::Display| {
        EnvironmentError(format!("{name} is {path:?}, which is no file of PEM certificates that can be read: {reason}"))
    };
    let file = std::fs::read(path).map_err(|error| failed(&error))?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&file) {
        let certificate = certificate.map_err(|error| failed(&error))?;
        webpki::anchor_from_trusted_cert(&certificate).map_err(|error| failed(&error))?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err(failed(&"it has no certificate"));
    }
    let trust = TrustStore::empty().with_pem_certificate(file);
    TlsContext::builder().with_trust_store(trust).build().map_err(|error| failed(&error))
}

/// Whether this machine has no certificate authority, once it was looked for them: each service would read them again.
static NONE_FOUND: OnceLock<bool> = OnceLock::new();

/// Whether this machine was found to have no certificate authority, so that no server is trusted.
pub(crate) fn none_found() -> bool {
    NONE_FOUND.get().copied().unwrap_or_default()
}

/// A client that trusts nobody, where this machine has no certificate authority: the SDK's own panics there. Servers without TLS
/// can be asked all the same. Nothing where there is one.
pub(crate) fn without_authorities() -> Option<SharedHttpClient> {
    if is_without_authorities() { Some(client(trusting_nobody()?, ProxyConfig::from_env())) } else { None }
}

fn is_without_authorities() -> bool {
    *NONE_FOUND.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        !found.iter().any(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok())
    })
}

fn trusting_nobody() -> Option<TlsContext> {
    TlsContext::builder().with_trust_store(TrustStore::empty()).build().ok()
}

/// A client that asks loopback alone, without TLS, so that no proxy of the environment is asked for it.
pub(crate) fn without_proxy() -> SharedHttpClient {
    client(trusting_nobody().unwrap_or_default(), ProxyConfig::disabled())
}

fn client(context: TlsContext, proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector
            .proxy_config(proxy.clone())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.clone())
            .build()
    })
}
