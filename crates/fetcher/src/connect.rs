//! From settings to a client of one aggregator.

use crate::AggregatorClient;
use crate::in_turn::InTurn;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_config::Client;
use aws_sdk_config::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_config::config::timeout::TimeoutConfig;
use aws_sdk_config::config::{IdentityCache, SharedCredentialsProvider, SharedIdentityCache};
use aws_smithy_types::retry::RetrySpec;
use compline_aws::{Environment, FailedAttempts};
use compline_model::{AggregatorId, AggregatorName, Region};
use compline_pace::Pace;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};

/// A role to assume before asking an aggregator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// Its ARN, of any AWS partition.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
    /// What the session is called in CloudTrail.
    pub session_name: String,
    /// How long each of its credentials lasts; new ones are asked for before.
    pub duration: Duration,
}

/// Where an aggregator is and who may ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregatorAddress {
    /// Its partition value.
    pub id: AggregatorId,
    /// Its name in AWS.
    pub name: AggregatorName,
    /// The region it is in.
    pub region: Region,
    /// The role to assume, if not the default identity's own.
    pub role: Option<Role>,
}

/// How calls are made, the same for every aggregator of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchOptions {
    /// Rows wanted per page, 1..=100; nothing for the API's default.
    pub page_size: Option<i32>,
    /// Attempts per call, the first included; those that are throttled are not counted.
    pub max_attempts: u32,
    /// The longest a call may take, its retries and waits included.
    pub operation_timeout: Duration,
    /// The longest one attempt may take, its body included.
    pub attempt_timeout: Duration,
    /// Calls a second and per credentials and region, at most; nothing to find the limit of AWS Config.
    pub max_requests_per_second: Option<f64>,
    /// How many runs ask at the same time with the same limit, this one included, as far as is known.
    pub runs_at_once: u32,
    /// Where AWS Config is, if not at AWS.
    pub endpoint_url: Option<String>,
}

/// Who asks, and where: what a rate limit is of.
type Caller = (Option<Role>, Region);

/// Makes the clients of a run. Aggregators that are asked with the same credentials in the same region share one, since the
/// rate limit of AWS Config is per account and region: the pace found for one is the pace of all.
#[derive(Debug)]
pub struct Connector {
    environment: Environment,
    options: FetchOptions,
    callers: Mutex<HashMap<Caller, Arc<OfCaller>>>,
}

/// Credentials of a role, and where they are cached: clients that have both from one place ask STS once.
type Assumed = (SharedCredentialsProvider, SharedIdentityCache);

/// What there is once for all that are asked as the same caller.
#[derive(Debug, Default)]
pub(crate) struct OfCaller {
    assumed: OnceCell<Assumed>,
    connection: OnceCell<Arc<Connection>>,
    /// The caller identity, as STS said it.
    pub(crate) identity: OnceCell<String>,
}

impl Connector {
    /// One that makes no call until it is asked.
    pub fn new(environment: Environment, options: FetchOptions) -> Self {
        Self { environment, options, callers: Mutex::default() }
    }

    /// What there is for the caller that an aggregator is asked as.
    pub(crate) async fn caller(&self, address: &AggregatorAddress) -> Arc<OfCaller> {
        let caller = (address.role.clone(), address.region.clone());
        Arc::clone(self.callers.lock().await.entry(caller).or_default())
    }

    /// The credentials of an aggregator's role, if it has one.
    async fn assumed(&self, address: &AggregatorAddress, caller: &OfCaller) -> Option<Assumed> {
        let role = address.role.as_ref()?;
        let assumed = caller.assumed.get_or_init(|| assume(&self.environment, role, &address.region)).await;
        Some(assumed.clone())
    }

    /// A client of STS with the credentials that an aggregator is asked with.
    pub(crate) async fn sts(&self, address: &AggregatorAddress) -> aws_sdk_sts::Client {
        let mut config = aws_sdk_sts::config::Builder::from(self.environment.shared())
            .region(aws_config::Region::new(address.region.to_string()))
            .retry_config(RetryConfig::standard().with_max_attempts(self.options.max_attempts))
            .timeout_config(timeouts(&self.options));
        if let Some((provider, cache)) = self.assumed(address, &*self.caller(address).await).await {
            // Set as it is: wrapped once more it would be cached for itself.
            config.set_credentials_provider(Some(provider)).set_identity_cache(cache);
        }
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// A client of a region, of no aggregator in particular, that asks as the environment's identity.
    pub(crate) async fn client_of(&self, region: &Region) -> Client {
        let caller = (None, region.clone());
        Connection::open(self.environment.clone(), self.options.clone(), &caller, None).await.client().0
    }

    /// A client for one aggregator.
    pub async fn connect(&self, address: AggregatorAddress) -> AggregatorClient {
        let caller = self.caller(&address).await;
        let open = async || {
            let assumed = self.assumed(&address, &caller).await;
            let of = (address.role.clone(), address.region.clone());
            Arc::new(Connection::open(self.environment.clone(), self.options.clone(), &of, assumed).await)
        };
        let connection = Arc::clone(caller.connection.get_or_init(open).await);
        AggregatorClient::new(connection, address, self.options.page_size)
    }
}

/// The client of one caller in one region, its pace, and what is needed to make it anew.
#[derive(Debug)]
pub(crate) struct Connection {
    environment: Environment,
    options: FetchOptions,
    caller: Caller,
    pace: Pace,
    partition: RetryPartition,
    /// The client, and how often it was made.
    current: RwLock<(Client, u64)>,
    renewing: Mutex<()>,
}

impl Connection {
    async fn open(environment: Environment, options: FetchOptions, caller: &Caller, assumed: Option<Assumed>) -> Self {
        let pace = Pace::new(options.max_requests_per_second, options.runs_at_once);
        // Each call is bounded by the settings, in attempts or in time; the SDK's own quota of retries would end a long throttled
        // run while each single call is still within its bounds.
        let partition = RetryPartition::custom("aws-config").token_bucket(TokenBucket::unlimited()).build();
        let client = client(&environment, &options, caller, &pace, &partition, assumed).await;
        let current = RwLock::new((client, 0));
        Self { environment, options, caller: caller.clone(), pace, partition, current, renewing: Mutex::default() }
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The client, and which it is.
    pub(crate) fn client(&self) -> (Client, u64) {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the client again, so that every credential is asked for again, unless somebody else has since.
    pub(crate) async fn renew(&self, which: u64) {
        let _one_at_a_time = self.renewing.lock().await;
        if self.client().1 != which {
            return;
        }
        tracing::warn!(region = %self.caller.1, "the credentials have ended before their time: asking for new ones");
        let client = client(&self.environment, &self.options, &self.caller, &self.pace, &self.partition, None).await;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (client, which + 1);
    }
}

/// How long a call and each of its attempts may take, whichever service it is of.
fn timeouts(options: &FetchOptions) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_timeout(options.operation_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .build()
}

async fn client(
    environment: &Environment,
    options: &FetchOptions,
    (role, region): &Caller,
    pace: &Pace,
    partition: &RetryPartition,
    assumed: Option<Assumed>,
) -> Client {
    let retries = RetryConfig::standard()
        .with_max_attempts(options.max_attempts)
        // Since 2.1 a wait that is given is taken for at least a random second, doubled each time, and at most five more: a call
        // would not be sent in its turn, and the one after it at the same moment.
        .with_retry_spec(RetrySpec::v2_0());
    let mut config = aws_sdk_config::config::Builder::from(environment.shared())
        .region(aws_config::Region::new(region.to_string()))
        .retry_config(retries)
        .retry_classifier(InTurn(pace.clone()))
        .retry_partition(partition.clone())
        .interceptor(FailedAttempts::of("AWS Config"))
        .timeout_config(timeouts(options))
        .identity_cache(IdentityCache::lazy().build());
    if let Some(role) = role {
        let (provider, cache) = match assumed {
            Some(assumed) => assumed,
            None => assume(environment, role, region).await,
        };
        config.set_credentials_provider(Some(provider)).set_identity_cache(cache);
    }
    if let Some(url) = &options.endpoint_url {
        // Variants of AWS's own endpoints, which would be an error beside another one.
        config = config.endpoint_url(url).use_fips(false).use_dual_stack(false);
    }
    Client::from_conf(config.build())
}

/// Credentials of a role, got from STS in the aggregator's own region and so in its own AWS partition. They are asked for
/// again shortly before they end.
async fn assume(environment: &Environment, role: &Role, region: &Region) -> Assumed {
    let mut builder = AssumeRoleProvider::builder(&role.arn)
        .session_name(&role.session_name)
        .region(aws_config::Region::new(region.to_string()))
        .session_length(role.duration)
        .configure(environment.shared());
    if let Some(external_id) = &role.external_id {
        builder = builder.external_id(external_id);
    }
    let provider = SharedCredentialsProvider::new(builder.build().await);
    (environment.checked(provider, Some(role.duration)), IdentityCache::lazy().build())
}

/// What tests that make a client have in common.
#[cfg(test)]
pub(crate) mod example {
    use super::*;
    use compline_aws::Identity;

    /// Those of calls that are made once.
    pub(crate) fn options() -> FetchOptions {
        FetchOptions {
            page_size: None,
            max_attempts: 1,
            operation_timeout: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(20),
            max_requests_per_second: None,
            runs_at_once: 1,
            endpoint_url: None,
        }
    }

    pub(crate) fn address(role: Option<Role>) -> AggregatorAddress {
        AggregatorAddress {
            id: "org".parse().expect("an id"),
            name: "aggregator".parse().expect("a name"),
            region: "eu-west-1".parse().expect("a region"),
            role,
        }
    }

    pub(crate) async fn client(options: FetchOptions) -> AggregatorClient {
        let environment = Environment::load(Identity::Simulated).await.expect("an environment");
        Connector::new(environment, options).connect(address(None)).await
    }
}

#[cfg(test)]
mod roles;
#[cfg(test)]
mod turns;

#[cfg(test)]
mod tests {
    use super::*;
    use compline_aws::Identity;

    fn address(id: &str, region: &str, role: Option<&str>) -> AggregatorAddress {
        AggregatorAddress {
            id: id.parse().expect("an id"),
            name: "aggregator".parse().expect("a name"),
            region: region.parse().expect("a region"),
            role: role.map(|arn| Role {
                arn: arn.to_owned(),
                external_id: None,
                session_name: "compline".to_owned(),
                duration: Duration::from_secs(3600),
            }),
        }
    }

    #[tokio::test]
    async fn b08_aggregators_with_the_same_credentials_and_region_share_one_paced_client() {
        let environment = Environment::load(Identity::Simulated).await.expect("an environment");
        let connector = Connector::new(environment, example::options());
        for (id, region, role, clients) in [
            ("a", "eu-west-1", None, 1),
            ("b", "eu-west-1", None, 1),
            ("c", "us-east-1", None, 2),
            ("d", "us-east-1", Some("arn:aws-cn:iam::012345678910:role/x"), 3),
        ] {
            connector.connect(address(id, region, role)).await;
            assert_eq!(connector.callers.lock().await.len(), clients, "{id}");
        }
    }
}
