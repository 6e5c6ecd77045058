//! An EventBridge bus.

use crate::error::{MAX_MESSAGE, words};
use crate::{Arn, Message};
use aws_config::Region;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use compline_aws::Environment;

/// Whose events they are: what a rule matches as `source`.
const SOURCE: &str = "compline";

#[derive(Debug, Clone)]
pub(crate) struct Bus {
    client: Client,
    arn: String,
}

impl Bus {
    pub(crate) fn of(environment: &Environment, arn: Arn) -> Self {
        let config = aws_sdk_eventbridge::config::Builder::from(environment.shared());
        let config = config.retry_config(RetryConfig::disabled()).region(Region::new(arn.region));
        Self { client: Client::from_conf(config.build()), arn: arn.text }
    }

    pub(crate) fn name(&self) -> String {
        format!("the event bus {}", self.arn)
    }

    pub(crate) async fn send(&self, message: &Message) -> Result<(), String> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.arn)
            .source(SOURCE)
            .detail_type(message.kind.detail_type())
            .detail(message.document().to_string())
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| words(&error, "events:PutEvents"))?;
        // It answers 200 all the same.
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        let entry = answer.entries().iter().find(|entry| entry.error_code().is_some());
        let code = entry.and_then(|entry| entry.error_code()).unwrap_or("it does not say why");
        let message = entry.and_then(|entry| entry.error_message()).unwrap_or_default();
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        Err(format!("the event was not taken: {code}: {message}"))
    }
}
