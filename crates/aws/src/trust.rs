//! Which certificate authorities servers are trusted by: the system's (which `SSL_CERT_FILE` replaces), or a company's bundle.

use crate::EnvironmentError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_types::sdk_config::SharedHttpClient;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A client that trusts the authorities of a file in place of the system's, as the AWS CLI does. `name` is where the path is
/// from.
pub(crate) fn with_bundle(name: &str, path: &str) -> Result<SharedHttpClient, EnvironmentError> {
    let failed = |reason: &dyn std::fmt::Display| {
        EnvironmentError(format!("{name} is {path:?}, which is no file of PEM certificates that can be read: {reason}"))
    };
    let file = std::fs::read(path).map_err(|error| failed(&error))?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&file) {
        certificate.map_err(|error| failed(&error))?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err(failed(&"it has no certificate"));
    }
    let trust = TrustStore::empty().with_pem_certificate(file);
    let context = TlsContext::builder().with_trust_store(trust).build().map_err(|error| failed(&error))?;
    Ok(client(context, ProxyConfig::from_env()))
}

/// A client that asks loopback alone, so that no proxy of the environment is asked for it.
pub(crate) fn without_proxy() -> SharedHttpClient {
    client(TlsContext::default(), ProxyConfig::disabled())
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
