//! An SNS topic.

use crate::error::words;
use crate::{Arn, Message, text};
use aws_config::Region;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::retry::RetryConfig;
use aws_sdk_sns::types::MessageAttributeValue;
use compline_aws::Environment;
use serde_json::json;

/// The longest subject that SNS takes, in characters.
const MAX_SUBJECT: usize = 100;

#[derive(Debug, Clone)]
pub(crate) struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    pub(crate) fn of(environment: &Environment, arn: Arn) -> Self {
        let config = aws_sdk_sns::config::Builder::from(environment.shared());
        let config = config.retry_config(RetryConfig::disabled()).region(Region::new(arn.region));
        Self { client: Client::from_conf(config.build()), arn: arn.text }
    }

    pub(crate) fn name(&self) -> String {
        format!("the SNS topic {}", self.arn)
    }

    pub(crate) async fn send(&self, message: &Message) -> Result<(), String> {
        let attribute = |value: &str| {
            // It has a type and a value.
            MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()
        };
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject(&message.headline()))
            .message(body(message))
            .message_structure("json");
        let date = message.date.to_string();
        // For the filter policies of subscriptions.
        for (name, value) in
            [("kind", message.kind.as_str()), ("aggregator", message.aggregator.as_str()), ("snapshot_date", &date)]
        {
            if let Some(value) = attribute(value) {
                request = request.message_attributes(name, value);
            }
        }
        if self.arn.ends_with(".fifo") {
            // A run has a message of each dataset, and SNS drops the second of an id without a word.
            let id = format!("{}-{}-{}-{}", message.run_id, message.aggregator, message.dataset, message.kind.as_str());
            request = request.message_group_id(message.aggregator.as_str()).message_deduplication_id(id);
        }
        request.send().await.map(drop).map_err(|error| words(&error, "sns:Publish"))
    }
}

/// By protocol: people get the text by mail and the title by SMS, and whatever is a program the document.
fn body(message: &Message) -> String {
    let document = message.document().to_string();
    json!({ "default": document, "email": text::plain(message), "sms": text::one_line(&message.headline()) })
        .to_string()
}

/// ASCII on one line, as SNS has it.
fn subject(title: &str) -> String {
    title.chars().map(|letter| if letter.is_ascii_graphic() { letter } else { ' ' }).take(MAX_SUBJECT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::{largest, message};

    #[test]
    fn a_subject_is_a_hundred_ascii_characters_on_one_line_at_most() {
        assert_eq!(subject("a\nü b"), "a   b");
        assert_eq!(subject(&"x".repeat(300)).len(), 100);
    }

    #[test]
    fn each_protocol_gets_what_it_can_show_and_the_largest_is_within_256_kib() {
        let body: serde_json::Value = serde_json::from_str(&body(&message())).expect("JSON");
        let document: serde_json::Value = serde_json::from_str(body["default"].as_str().expect("text")).expect("JSON");
        assert_eq!(document, message().document());
        assert_eq!(body["email"], text::plain(&message()));
        let bytes = super::body(&largest()).len();
        assert!(bytes < 250 << 10, "{bytes}");
    }
}
