//! Telling others what became of a day: a webhook, an SNS topic, an EventBridge bus.
//!
//! Each receiver is asked once and within a time-out, all of them at the same time. No attempt is made again, nor by
//! the SDK: one whose answer was lost may have been taken, and nobody is told twice.

mod error;
mod event_bridge;
mod message;
mod sns;
mod text;
mod webhook;

use compline_aws::{Environment, EnvironmentError, HttpClient, HttpUrl, Identity};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use std::time::Duration;

pub use message::{Kind, Message, Pack, Packs, Rules};
pub use webhook::WebhookFormat;

/// Who is told, and how long each may take.
#[derive(Debug, Clone)]
pub struct Receivers {
    /// A URL that takes a POST, and what is posted.
    pub webhook: Option<(HttpUrl, WebhookFormat)>,
    /// An SNS topic.
    pub sns_topic: Option<Arn>,
    /// An EventBridge bus.
    pub event_bus: Option<Arn>,
    /// How long each may take.
    pub timeout: Duration,
}

/// What AWS names something by, with the region that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arn {
    text: String,
    region: String,
}

impl Arn {
    /// Reads `arn:<AWS partition>:<service>:<region>:<account>:<resource>` of a service; nothing if it is none.
    pub fn parse(text: &str, service: &str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, of, region, account, resource] = &parts[..] else { return None };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_resource = !resource.is_empty() && resource.bytes().all(|byte| byte.is_ascii_graphic());
        let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let is_arn = partition.starts_with("aws") && of == service && is_region && is_account && is_resource;
        is_arn.then(|| Self { text: text.to_owned(), region: region.to_owned() })
    }
}

/// Tells the receivers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notifier {
    webhook: Option<webhook::Webhook>,
    sns: Option<sns::Topic>,
    event_bridge: Option<event_bridge::Bus>,
    timeout: Duration,
}

impl Notifier {
    /// Makes the clients. Makes no call.
    ///
    /// # Errors
    /// An environment that nobody can be asked from.
    pub async fn open(receivers: Receivers) -> Result<Self, EnvironmentError> {
        let Receivers { webhook, sns_topic, event_bus, timeout } = receivers;
        let webhook = match webhook {
            Some((url, format)) => Some(webhook::Webhook { client: HttpClient::load().await?, url, format }),
            None => None,
        };
        let environment = match sns_topic.is_some() || event_bus.is_some() {
            true => Some(Environment::load(Identity::DefaultChain).await?),
            false => None,
        };
        let environment = environment.as_ref();
        Ok(Self {
            webhook,
            sns: environment.zip(sns_topic).map(|(environment, topic)| sns::Topic::of(environment, topic)),
            event_bridge: environment.zip(event_bus).map(|(environment, bus)| event_bridge::Bus::of(environment, bus)),
            timeout,
        })
    }

    /// Tells each receiver of something, all at the same time. Gives what went wrong, a sentence for each that was not told.
    pub async fn send(&self, message: &Message) -> Vec<String> {
        let webhook = self.webhook.iter().map(|one| (one.name(), one.send(message, self.timeout).boxed()));
        let sns = self.sns.iter().map(|one| (one.name(), one.send(message).boxed()));
        let event_bridge = self.event_bridge.iter().map(|one| (one.name(), one.send(message).boxed()));
        let all = webhook.chain(sns).chain(event_bridge).map(async |(name, sent)| {
            let error = self.in_time(sent).await.err()?;
            Some(format!("{name}: {error}"))
        });
        join_all(all).await.into_iter().flatten().collect()
    }

    /// The names of the receivers, without what is secret of them.
    pub fn names(&self) -> Vec<String> {
        let webhook = self.webhook.iter().map(webhook::Webhook::name);
        let sns = self.sns.iter().map(sns::Topic::name);
        webhook.chain(sns).chain(self.event_bridge.iter().map(event_bridge::Bus::name)).collect()
    }

    /// What a receiver answers in time: to have credentials is part of that.
    async fn in_time(&self, sent: BoxFuture<'_, Result<(), String>>) -> Result<(), String> {
        let late = |_| format!("it did not answer within {} s", self.timeout.as_secs());
        tokio::time::timeout(self.timeout + GRACE, sent).await.map_err(late)?
    }
}

/// For the time-out of a receiver's own client to be told first, which knows more.
const GRACE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_of_its_service_and_has_the_region() {
        let topic = Arn::parse("arn:aws-cn:sns:cn-north-1:111122223333:alerts", "sns").expect("an ARN");
        assert_eq!(topic.region, "cn-north-1");
        for other in [
            "arn:aws:events:eu-west-1:111122223333:event-bus/x",
            "arn:aws:sns:eu-west-1:1111:alerts",
            "arn:aws:sns::111122223333:alerts",
            "arn:aws:sns:eu-west-1:111122223333:",
            "arn:aws:sns:eu-west-1:111122223333:a b",
            "alerts",
        ] {
            assert_eq!(Arn::parse(other, "sns"), None, "{other}");
        }
    }
}
