//! `[notify]`: who is told what became of a day.
//!
//! The URL of a webhook is a secret. It is in the environment or in a file, is read when a run begins, and what is wrong with it is
//! told without it.

use super::document::{Document, Problem};
use super::value::{FromText, Text, Whole, one_or_many};
use anyhow::{Context, bail, ensure};
use compline_aws::HttpUrl;
use compline_notifier::{Arn, Kind, Receivers, WebhookFormat};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// The longest URL that is read from a file, in bytes.
const MAX_URL_BYTES: u64 = 16 << 10;

/// `[notify]`, validated.
#[derive(Debug, Clone)]
pub(crate) struct NotifySettings {
    webhook: Option<(Secret, WebhookFormat)>,
    sns_topic: Option<Arn>,
    event_bus: Option<Arn>,
    timeout: Duration,
    /// What is told of a day.
    pub(crate) kinds: BTreeSet<Kind>,
}

/// Where a secret is.
#[derive(Debug, Clone)]
enum Secret {
    Variable(String),
    File(PathBuf),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notify {
    /// Not here: a pipeline file is shown to many.
    webhook_url: Option<Spanned<IgnoredAny>>,
    webhook_url_env: Option<Spanned<Text<VariableName>>>,
    webhook_url_file: Option<Spanned<Text<SecretPath>>>,
    webhook_format: Option<Spanned<Text<WebhookFormat>>>,
    sns_topic_arn: Option<Text<TopicArn>>,
    event_bus_arn: Option<Text<BusArn>>,
    #[serde(default)]
    timeout_secs: Whole<1, 60, 10>,
    #[serde(default, deserialize_with = "kinds")]
    kinds: Option<BTreeSet<Kind>>,
}

#[derive(Debug)]
struct VariableName(String);

#[derive(Debug)]
struct SecretPath(PathBuf);

#[derive(Debug)]
struct TopicArn(Arn);

#[derive(Debug)]
struct BusArn(Arn);

impl FromText for VariableName {
    fn allowed() -> String {
        "the name of an environment variable that has the URL, of letters, digits and _".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        let is_name = !text.is_empty() && !text.starts_with(|first: char| first.is_ascii_digit());
        let is_name = is_name && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| Self(text.to_owned()))
    }
}

impl FromText for SecretPath {
    fn allowed() -> String {
        "the path of a file that has the URL".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        let is_path = !text.trim().is_empty() && !text.contains("://") && !text.contains(char::is_control);
        is_path.then(|| Self(PathBuf::from(text)))
    }
}

impl FromText for TopicArn {
    fn allowed() -> String {
        "a topic's ARN, arn:PARTITION:sns:REGION:ACCOUNT:NAME".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        // That of a subscription has another part.
        let is_topic = text.matches(':').count() == 5;
        Arn::parse(text, "sns").filter(|_| is_topic).map(Self)
    }
}

impl FromText for BusArn {
    fn allowed() -> String {
        "an event bus's ARN, arn:PARTITION:events:REGION:ACCOUNT:event-bus/NAME".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        Arn::parse(text, "events").filter(|_| text.contains(":event-bus/")).map(Self)
    }
}

fn kinds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeSet<Kind>>, D::Error> {
    one_or_many::<Kind, _, _>(deserializer).map(Some)
}

impl Notify {
    pub(super) fn settings(self, document: &Document<'_>) -> Result<NotifySettings, Problem> {
        if let Some(url) = &self.webhook_url {
            let what = "notify.webhook_url is not read from here, since the URL is a secret: use webhook_url_env with the name of an \
                        environment variable, or webhook_url_file with the path of a file, and give the webhook a new URL if this \
                        file was seen by others";
            return Err(document.problem_at(&url.span(), what));
        }
        let secret = match (self.webhook_url_env, self.webhook_url_file) {
            (Some(_), Some(file)) => {
                let what = "notify has webhook_url_env as well: the URL is in one place; leave one of them out";
                return Err(document.problem_at(&file.span(), what));
            }
            (Some(name), None) => Some(Secret::Variable(name.into_inner().0.0)),
            (None, Some(path)) => Some(Secret::File(path.into_inner().0.0)),
            (None, None) => None,
        };
        let format = self.webhook_format.as_ref().map(|format| format.get_ref().0).unwrap_or_default();
        let webhook = secret.map(|secret| (secret, format));
        if let Some(format) = self.webhook_format.filter(|_| webhook.is_none()) {
            let what = "webhook_format is for a webhook: add webhook_url_env or webhook_url_file, or leave it out";
            return Err(document.problem_at(&format.span(), what));
        }
        let sns_topic = self.sns_topic_arn.map(|arn| arn.0.0);
        let event_bus = self.event_bus_arn.map(|arn| arn.0.0);
        if webhook.is_none() && sns_topic.is_none() && event_bus.is_none() {
            return Err(document.problem(
                "[notify] names nobody: add webhook_url_env, webhook_url_file, sns_topic_arn or event_bus_arn, or leave it out",
            ));
        }
        let kinds = self.kinds.unwrap_or_else(|| Kind::ALL.into());
        Ok(NotifySettings { webhook, sns_topic, event_bus, timeout: self.timeout_secs.seconds(), kinds })
    }
}

impl NotifySettings {
    /// Who is told, the webhook's URL read.
    ///
    /// # Errors
    /// The URL is not where it should be, or is none.
    pub(crate) fn receivers(&self) -> anyhow::Result<Receivers> {
        let webhook = self.webhook.as_ref().map(|(secret, format)| Ok::<_, anyhow::Error>((secret.url()?, *format)));
        Ok(Receivers {
            webhook: webhook.transpose()?,
            sns_topic: self.sns_topic.clone(),
            event_bus: self.event_bus.clone(),
            timeout: self.timeout,
        })
    }
}

impl Secret {
    fn url(&self) -> anyhow::Result<HttpUrl> {
        let (text, place) = match self {
            Self::Variable(name) => {
                let place = format!("notify.webhook_url_env names the environment variable {name}");
                let Some(text) = std::env::var_os(name) else { bail!("{place}, which is not set; set it to the URL") };
                (text.to_string_lossy().into_owned(), place)
            }
            Self::File(path) => {
                let place = format!("notify.webhook_url_file is {}", path.display());
                let text = text_of(path).with_context(|| {
                    format!("{place}, which cannot be read; is the secret mounted there, and may this user read it?")
                })?;
                (text, place)
            }
        };
        let text = text.trim();
        ensure!(!text.is_empty(), "{place}, which is empty; put the URL there");
        HttpUrl::parse(text).map_err(|error| anyhow::anyhow!("{place}, and what is there is not shown: {error}"))
    }
}

/// The text of a plain file: to open a pipe waits for who writes into it.
fn text_of(path: &Path) -> anyhow::Result<String> {
    ensure!(std::fs::metadata(path)?.is_file(), "it is no plain file");
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_URL_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_URL_BYTES, "it has more than {MAX_URL_BYTES} bytes; is it the URL's?");
    // Bytes that are no text make no URL.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
