//! Loading it.

use crate::credentials::Sound;
use crate::trust::Bundle;
use crate::{trust, variables};
use aws_config::profile::{self, ProfileSet};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Connector;
use aws_types::os_shim_internal::{Env, Fs};
use compline_model::causes;
use std::time::Duration;

/// Who signs the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// The SDK's default chain: environment, profile, SSO, web identity, container, instance.
    #[default]
    DefaultChain,
    /// A made-up key, for the built-in simulator only: nothing of the environment is read.
    Simulated,
}

/// Something in the environment with which AWS cannot be asked: what it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub(crate) String);

/// What every client of AWS is made from.
#[derive(Debug, Clone)]
pub struct Environment {
    shared: SdkConfig,
}

impl Environment {
    /// Reads the variables and the profile files. Makes no call.
    ///
    /// # Errors
    /// What would fail every call, or panic in the SDK: a profile that is not there, keys that no header can carry, a token
    /// file or certificates that cannot be read.
    pub async fn load(identity: Identity) -> Result<Self, EnvironmentError> {
        variables::check_headers(variable)?;
        match identity {
            Identity::Simulated => Ok(Self::of(simulated())),
            Identity::DefaultChain => default_chain().await.map(Self::of),
        }
    }

    /// That of an SDK configuration, whose credentials are checked before they are used.
    pub fn of(shared: SdkConfig) -> Self {
        let shared = match shared.credentials_provider() {
            Some(provider) => {
                let provider = Sound::of(provider, shared.time_source(), None);
                shared.into_builder().credentials_provider(provider).build()
            }
            None => shared,
        };
        Self { shared }
    }

    /// What a client of a service is made from.
    pub fn shared(&self) -> &SdkConfig {
        &self.shared
    }

    /// Credentials that were got some other way, such as a role's, checked like those of the environment. `lifetime` is how long
    /// they last, where it was asked for.
    pub fn checked(
        &self,
        provider: SharedCredentialsProvider,
        lifetime: Option<Duration>,
    ) -> SharedCredentialsProvider {
        Sound::of(provider, self.shared.time_source(), lifetime)
    }
}

fn simulated() -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "simulated",
            "simulated",
            None,
            None,
            "simulated",
        )))
        .http_client(trust::without_proxy())
        // A role is assumed by these: without a clock the SDK panics.
        .time_source(SystemTimeSource::new())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

async fn default_chain() -> Result<SdkConfig, EnvironmentError> {
    variables::check(variable)?;
    let profiles = profiles().await?;
    check_profile(&profiles, variable("AWS_PROFILE").as_deref())?;
    // Every client has attempts of its own, so the environment's are not looked at: the SDK panics at those it does not know.
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::standard());
    let client = match bundle(&profiles) {
        Some(bundle) => Some(trust::with_bundle(&bundle)?),
        None => trust::without_authorities(),
    };
    if let Some(client) = client {
        loader = loader.http_client(client);
    }
    Ok(loader.load().await)
}

async fn profiles() -> Result<ProfileSet, EnvironmentError> {
    let profiles = profile::load(&Fs::real(), &Env::real(), &Default::default(), None).await;
    profiles.map_err(|error| EnvironmentError(format!("cannot read the AWS profile files: {}", causes(&error))))
}

/// The file of certificate authorities that the environment names, if any.
fn bundle(profiles: &ProfileSet) -> Option<Bundle> {
    let bundle = variable("AWS_CA_BUNDLE").map(|path| ("AWS_CA_BUNDLE", path));
    let bundle = bundle.or_else(|| profiles.get("ca_bundle").map(|path| ("ca_bundle of the profile", path.to_owned())));
    bundle.filter(|(_, path)| !path.is_empty())
}

/// What a server that is not of AWS is asked by: the environment's proxy, and the authorities that AWS is trusted by.
pub(crate) async fn connector() -> Result<Connector, EnvironmentError> {
    trust::connector(bundle(&profiles().await?).as_ref())
}

/// A profile that is asked for and not there is not passed over for keys of the environment: they may be somebody else's.
fn check_profile(profiles: &ProfileSet, wanted: Option<&str>) -> Result<(), EnvironmentError> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    if profiles.get_profile(wanted).is_some() {
        return Ok(());
    }
    let mut known: Vec<&str> = profiles.profiles().collect();
    known.sort_unstable();
    let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(EnvironmentError(format!(
        "AWS_PROFILE is {wanted:?}, and neither ~/.aws/config nor ~/.aws/credentials has that profile ({known}); set or unset it"
    )))
}
