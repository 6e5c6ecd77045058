//! From settings to a client of one aggregator.

use crate::AggregatorClient;
use crate::pace::{InTurn, Pace};
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_config::Client;
use aws_sdk_config::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_config::config::timeout::TimeoutConfig;
use aws_sdk_config::config::{Credentials, SharedCredentialsProvider};
use compline_model::{AggregatorId, AggregatorName, Region};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Mutex;

/// Who signs the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Identity {
    /// The SDK's default chain: environment, profile, SSO, web identity, container, instance.
    #[default]
    DefaultChain,
    /// A made-up key, for the built-in simulator only.
    Simulated,
}

/// A role to assume before asking an aggregator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// Its ARN, of any AWS partition.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
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
    /// Attempts per call, the first included.
    pub max_attempts: u32,
    /// The longest a call may take, its retries and waits included.
    pub operation_timeout: Duration,
    /// The longest one attempt may take, its body included.
    pub attempt_timeout: Duration,
    /// Calls a second and per credentials and region, at most; nothing to find the limit of AWS Config.
    pub max_requests_per_second: Option<f64>,
    /// Where AWS Config is, if not at AWS.
    pub endpoint_url: Option<String>,
}

/// Who asks, and where: what a rate limit is of.
type Caller = (Option<Role>, Region);

/// Makes the clients of a run. Aggregators that are asked with the same credentials in the same region share one, since the
/// rate limit of AWS Config is per account and region: the pace found for one is the pace of all.
#[derive(Debug)]
pub struct Connector {
    shared: SdkConfig,
    options: FetchOptions,
    clients: Mutex<HashMap<Caller, (Client, Pace)>>,
}

impl Connector {
    /// Loads what the environment and the profile files say. Makes no call.
    pub async fn load(identity: Identity, options: FetchOptions) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest());
        let loader = match identity {
            Identity::DefaultChain => loader,
            Identity::Simulated => loader
                .credentials_provider(Credentials::new("simulated", "simulated", None, None, "simulated"))
                .region(aws_config::Region::from_static("us-east-1")),
        };
        Self { shared: loader.load().await, options, clients: Mutex::default() }
    }

    /// A client for one aggregator.
    pub async fn connect(&self, address: AggregatorAddress) -> AggregatorClient {
        let key = (address.role.clone(), address.region.clone());
        let mut clients = self.clients.lock().await;
        let client = match clients.get(&key) {
            Some(client) => client.clone(),
            None => {
                let client = self.client(&key).await;
                clients.insert(key, client.clone());
                client
            }
        };
        AggregatorClient::new(client, address, self.options.page_size)
    }

    async fn client(&self, (role, region): &Caller) -> (Client, Pace) {
        let pace = Pace::new(self.options.max_requests_per_second);
        // Every attempt is counted and bounded by the settings; the SDK's own quota of retries would end a long throttled
        // night while each single call is still within its bounds.
        let partition = RetryPartition::custom("aws-config").token_bucket(TokenBucket::unlimited()).build();
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(self.options.operation_timeout)
            .operation_attempt_timeout(self.options.attempt_timeout)
            .build();
        let mut config = aws_sdk_config::config::Builder::from(&self.shared)
            .region(aws_config::Region::new(region.to_string()))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(self.options.max_attempts)
                    .with_max_backoff(self.options.operation_timeout),
            )
            .retry_classifier(InTurn(pace.clone()))
            .retry_partition(partition)
            .timeout_config(timeouts);
        if let Some(role) = role {
            config = config.credentials_provider(self.assume(role, region).await);
        }
        if let Some(url) = &self.options.endpoint_url {
            config = config.endpoint_url(url);
        }
        (Client::from_conf(config.build()), pace)
    }

    /// Credentials of a role, got from STS in the aggregator's own region and so in its own AWS partition.
    async fn assume(&self, role: &Role, region: &Region) -> SharedCredentialsProvider {
        let mut builder = AssumeRoleProvider::builder(&role.arn)
            .session_name("compline")
            .region(aws_config::Region::new(region.to_string()))
            .configure(&self.shared);
        if let Some(external_id) = &role.external_id {
            builder = builder.external_id(external_id);
        }
        SharedCredentialsProvider::new(builder.build().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(id: &str, region: &str, role: Option<&str>) -> AggregatorAddress {
        AggregatorAddress {
            id: id.parse().expect("an id"),
            name: "aggregator".parse().expect("a name"),
            region: region.parse().expect("a region"),
            role: role.map(|arn| Role { arn: arn.to_owned(), external_id: None }),
        }
    }

    #[tokio::test]
    async fn b08_aggregators_with_the_same_credentials_and_region_share_one_paced_client() {
        let options = FetchOptions {
            page_size: None,
            max_attempts: 1,
            operation_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(1),
            max_requests_per_second: None,
            endpoint_url: None,
        };
        let connector = Connector::load(Identity::Simulated, options).await;
        for (id, region, role, clients) in [
            ("a", "eu-west-1", None, 1),
            ("b", "eu-west-1", None, 1),
            ("c", "us-east-1", None, 2),
            ("d", "us-east-1", Some("arn:aws-cn:iam::012345678910:role/x"), 3),
        ] {
            connector.connect(address(id, region, role)).await;
            assert_eq!(connector.clients.lock().await.len(), clients, "{id}");
        }
    }
}
