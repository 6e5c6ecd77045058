//! A webhook.

use crate::{Message, text};
use compline_aws::{HttpClient, HttpUrl};
use serde_json::{Value, json};
use std::time::Duration;

/// What is posted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The document of the message.
    #[default]
    Json,
    /// What an incoming webhook of Slack takes.
    Slack,
    /// What an incoming webhook of Mattermost takes.
    Mattermost,
    /// What a webhook of Workflows in Teams takes: an Adaptive Card.
    Teams,
}

impl WebhookFormat {
    /// The body of a message.
    fn body(self, message: &Message) -> Value {
        match self {
            Self::Json => message.document(),
            // Its own Markdown has no way to escape an asterisk.
            Self::Slack => json!({ "text": text::slack(message), "mrkdwn": false }),
            Self::Mattermost => json!({ "text": text::markdown(message) }),
            Self::Teams => card(message),
        }
    }
}

/// An Adaptive Card of runs of text: unlike those of a `TextBlock`, they are shown as they are, without Markdown.
fn card(message: &Message) -> Value {
    let lines = text::lines(message, text::one_line);
    let blocks = lines.iter().enumerate().map(|(index, line)| {
        let weight = if index == 0 { "Bolder" } else { "Default" };
        let run = json!({ "type": "TextRun", "text": line, "weight": weight });
        json!({ "type": "RichTextBlock", "spacing": "Small", "inlines": [run] })
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": blocks.collect::<Vec<_>>(),
            },
        }],
    })
}

/// A URL that takes a POST.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) client: HttpClient,
    /// A secret: it is shown as scheme and host alone.
    pub(crate) url: HttpUrl,
    pub(crate) format: WebhookFormat,
}

impl Webhook {
    pub(crate) fn name(&self) -> String {
        format!("the webhook at {}", self.url)
    }

    pub(crate) async fn send(&self, message: &Message, timeout: Duration) -> Result<(), String> {
        let body = self.format.body(message).to_string();
        let answer = self.client.post(&self.url, &[("content-type", "application/json")], body, timeout).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.is_success() {
            return Ok(());
        }
        Err(hint(answer.status).map_or_else(|| answer.to_string(), |hint| format!("{answer}; {hint}")))
    }
}

/// What to do about a status.
fn hint(status: u16) -> Option<&'static str> {
    match status {
        300..=399 => Some("give the URL that it points to"),
        400 | 415 | 422 => Some("is notify.webhook_format that of the receiver?"),
        401 | 403 | 404 | 410 => Some("is the URL the whole one, and the webhook still there?"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::{largest, message};

    #[test]
    fn each_format_is_what_its_receiver_takes() {
        let message = message();
        assert_eq!(WebhookFormat::Json.body(&message), message.document());
        assert_eq!(WebhookFormat::Slack.body(&message)["text"], text::slack(&message));
        assert_eq!(WebhookFormat::Mattermost.body(&message), json!({ "text": text::markdown(&message) }));
        let card = WebhookFormat::Teams.body(&message);
        assert_eq!(card["type"], "message");
        let content = &card["attachments"][0]["content"];
        assert_eq!(content["type"], "AdaptiveCard");
        let first = &content["body"][0]["inlines"][0];
        assert_eq!(first["text"], "Compline: org 2026-03-01: 2 regressed, 1 remediated");
    }

    #[test]
    fn the_largest_card_is_within_what_teams_takes() {
        let bytes = WebhookFormat::Teams.body(&largest()).to_string().len();
        assert!(bytes < 28 << 10, "{bytes}");
    }
}
