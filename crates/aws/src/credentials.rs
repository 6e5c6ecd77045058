//! Credentials for which a wrong clock of this machine is no reason to ask again and again, and that a request can carry.

use crate::variables::unsound;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use compline_model::causes;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Nobody gives credentials that end within this time: where they seem to, the clock is fast. The SDK would take them for
/// ended, and ask for new ones before every call.
const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// How long such credentials are used: the shortest session that STS gives. Ones that really end before are renewed when AWS
/// says so.
const ASSUMED_LIFETIME: Duration = Duration::from_secs(900);

/// Gives another provider's credentials, with an expiry that makes sense by this machine's clock.
#[derive(Debug)]
pub(crate) struct Sound {
    provider: SharedCredentialsProvider,
    clock: SharedTimeSource,
    /// How long they last, where it was asked for: a slow clock would use them for longer.
    max_lifetime: Option<Duration>,
    /// Why there were none the first time.
    first: Mutex<Option<String>>,
}

/// What the SDK says each time but the first that a profile has no credentials: the first says why.
const TAKEN: &str = "initialization error already taken";

impl Sound {
    /// An error that says why, also where another call had it first.
    fn explained(&self, error: CredentialsError) -> CredentialsError {
        let why = causes(&error);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match &*first {
            Some(first) if why.contains(TAKEN) => CredentialsError::invalid_configuration(first.clone()),
            _ => {
                first.get_or_insert(why);
                error
            }
        }
    }

    pub(crate) fn of(
        provider: SharedCredentialsProvider,
        clock: Option<SharedTimeSource>,
        max_lifetime: Option<Duration>,
    ) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self {
            provider,
            clock: clock.unwrap_or_default(),
            max_lifetime,
            first: Mutex::default(),
        })
    }

    /// The same credentials, with an expiry that makes sense. A key with a line break in it would panic where it is signed with.
    fn sound(&self, mut credentials: Credentials) -> Result<Credentials, CredentialsError> {
        let of_headers = [credentials.access_key_id(), credentials.session_token().unwrap_or_default()];
        if let Some(letter) = of_headers.into_iter().find_map(unsound) {
            let what = format!(
                "the access key id or session token has {letter:?} in it, which no key has: is there a space or a line break too much \
                 in the profile files?"
            );
            return Err(CredentialsError::invalid_configuration(what));
        }
        let now = self.clock.now();
        if let Some(expiry) = credentials.expiry_mut() {
            *expiry = sound_expiry(*expiry, now, self.max_lifetime);
        }
        Ok(credentials)
    }
}

impl ProvideCredentials for Sound {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.provider.provide_credentials().await.map_err(|error| self.explained(error))?;
            self.sound(credentials)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

/// When credentials that were given now are to be renewed.
fn sound_expiry(expiry: SystemTime, now: SystemTime, max_lifetime: Option<Duration>) -> SystemTime {
    let lifetime = expiry.duration_since(now).unwrap_or_default();
    let lifetime = if lifetime < MIN_LIFETIME { ASSUMED_LIFETIME } else { lifetime };
    now + lifetime.min(max_lifetime.unwrap_or(lifetime))
}
