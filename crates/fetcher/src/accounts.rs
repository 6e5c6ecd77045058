//! What accounts are called, as AWS Organizations says it.

use crate::error::{CallContext, Cause, FetchError, from_sdk};
use crate::paging::Paging;
use crate::recorder::Answer;
use aws_sdk_organizations::config::Builder;
use aws_sdk_organizations::config::retry::RetryConfig;
use aws_sdk_organizations::config::timeout::TimeoutConfig;
use compline_aws::{Environment, FailedAttempts};
use compline_model::{AccountId, Region};
use std::collections::BTreeMap;
use std::time::Duration;

/// The operation that lists accounts.
pub(crate) const ACCOUNTS: &str = "ListAccounts";

/// Attempts of a call: it is throttled at some calls a second, and a page has 20 accounts at most.
const MAX_ATTEMPTS: u32 = 5;

/// The longest a call may take, its retries included, and one attempt of it.
const CALL: Duration = Duration::from_secs(60);
const ATTEMPT: Duration = Duration::from_secs(30);

/// The names of the organization's accounts. `region` is one of the AWS partition whose organization is asked; the service itself
/// is in one region of it.
///
/// # Errors
/// Those of a call: no credentials, no right, no answer. Organizations answers the management account and its delegated
/// administrators alone.
pub async fn account_names(
    environment: &Environment,
    region: &Region,
) -> Result<BTreeMap<AccountId, String>, FetchError> {
    let timeouts = TimeoutConfig::builder().operation_timeout(CALL).operation_attempt_timeout(ATTEMPT).build();
    let config = Builder::from(environment.shared())
        .region(aws_config::Region::new(region.to_string()))
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        .timeout_config(timeouts)
        .interceptor(FailedAttempts::of("AWS Organizations"));
    let client = aws_sdk_organizations::Client::from_conf(config.build());
    let (mut paging, mut names) = (Paging::default(), BTreeMap::new());
    while !paging.finished {
        let context = CallContext { operation: ACCOUNTS, region: region.as_str() };
        let doing = || format!("organizations:{ACCOUNTS}");
        let page = client.list_accounts().set_next_token(paging.token.clone()).send().await;
        let page = page.map_err(|error| from_sdk(&error, doing(), &context, (None, &Answer::default())))?;
        let next = page.next_token().map(str::to_owned);
        paging.answered(next).map_err(|_| FetchError::transient(doing(), Cause::RepeatedToken))?;
        for account in page.accounts() {
            let id = account.id().and_then(|id| id.parse().ok());
            names.extend(id.zip(account.name().map(str::to_owned)));
        }
    }
    Ok(names)
}
