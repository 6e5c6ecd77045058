//! What is told, before it takes the form that a receiver wants.

use crate::text;
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Of which form the document is. A field may be added without a new one.
const VERSION: u32 = 1;

/// How much of a reason is told, in characters: Teams takes no message of more than 28 KB, and the ledger has all of it.
const MAX_REASON: usize = 2_000;

/// What is told of a day. Of each kind a day is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Packs regressed or were remediated.
    Changes,
    /// The day is held.
    Held,
    /// The day failed.
    Failed,
    /// The day is committed, and something of it waits.
    Undone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Changes, Self::Held, Self::Failed, Self::Undone];

    /// Its name in settings and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Undone => "undone",
        }
    }

    /// What EventBridge's rules know it by.
    pub const fn detail_type(self) -> &'static str {
        match self {
            Self::Changes => "Compline Day Changed",
            Self::Held => "Compline Day Held",
            Self::Failed => "Compline Day Failed",
            Self::Undone => "Compline Day Undone",
        }
    }
}

/// A pack of an account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// The account.
    pub account_id: String,
    /// The region.
    pub aws_region: String,
    /// The name of the pack.
    pub conformance_pack_name: String,
    /// Its rules that are why.
    pub rules: Rules,
}

/// The rules that are why a pack changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// Nobody asked for them.
    NotAsked,
    /// They could not be told.
    NotTold,
    /// By their groups.
    Are(Vec<String>),
}

/// How many rules of a pack are in a document.
const MAX_RULES: usize = 10;

/// Packs that changed in one way: how many, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packs {
    /// The way, as `pack_changes` has it.
    pub change: &'static str,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Pack>,
}

/// What is told of an aggregator's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub kind: Kind,
    /// The day.
    pub date: SnapshotDate,
    /// The aggregator.
    pub aggregator: AggregatorId,
    /// What is collected of it: packs or rules.
    pub dataset: &'static str,
    /// The run that tells it.
    pub run_id: RunId,
    /// The lake's URL or folder.
    pub lake: String,
    /// What happened, in a few words.
    pub title: String,
    /// Why, and what to do; nothing where the title says it all.
    pub reason: Option<String>,
    /// How often each kind of event happened, as far as trends are known.
    pub changes: BTreeMap<String, u64>,
    /// The packs that are named.
    pub packs: Vec<Packs>,
    /// Where the day's report is, if people can read it: a URL of nothing but letters, digits and -._~:/%.
    pub report_url: Option<String>,
}

impl Message {
    /// Its document: what EventBridge, SNS and a webhook of the format `json` get.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "version": VERSION,
            "kind": self.kind.as_str(),
            "detail_type": self.kind.detail_type(),
            "snapshot_date": self.date.to_string(),
            "aggregator": self.aggregator.as_str(),
            "dataset": self.dataset,
            "run_id": self.run_id.to_string(),
            "lake": self.lake,
            "title": self.headline(),
            "reason": self.short_reason(),
            "changes": self.changes,
            "text": text::plain(self),
        });
        if let Some(url) = &self.report_url {
            document["report_url"] = json!(url);
        }
        for packs in &self.packs {
            let first = packs.first.iter().map(|pack| {
                let mut named = json!({
                    "account_id": pack.account_id,
                    "aws_region": pack.aws_region,
                    "conformance_pack_name": pack.conformance_pack_name,
                });
                match &pack.rules {
                    Rules::NotAsked => {}
                    Rules::NotTold => named["rules"] = Value::Null,
                    Rules::Are(rules) => {
                        named["rules"] = json!({ "count": rules.len(), "first": &rules[..rules.len().min(MAX_RULES)] });
                    }
                }
                named
            });
            document[packs.change] = json!({ "count": packs.count, "first": first.collect::<Vec<_>>() });
        }
        document
    }

    /// Its title with whose day it is.
    pub(crate) fn headline(&self) -> String {
        // Packs were the first, and go without saying.
        let of = if self.dataset == Dataset::PACKS.name { String::new() } else { format!(" ({})", self.dataset) };
        format!("Compline: {}{of} {}: {}", self.aggregator, self.date, self.title)
    }

    /// Its reason, cut.
    pub(crate) fn short_reason(&self) -> Option<String> {
        let reason = self.reason.as_deref()?;
        let is_long = reason.chars().nth(MAX_REASON).is_some();
        let end = if is_long { " ... (cut; the ledger has all of it)" } else { "" };
        Some(reason.chars().take(MAX_REASON).chain(end.chars()).collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message with names that mean something to whoever shows them.
    pub(crate) fn message() -> Message {
        let pack = |account: &str| Pack {
            account_id: account.to_owned(),
            aws_region: "eu-west-1".to_owned(),
            conformance_pack_name: "OrgConformsPack-a_b*c*<!channel>&[x](y)".to_owned(),
            rules: Rules::NotAsked,
        };
        Message {
            kind: Kind::Changes,
            date: "2026-03-01".parse().expect("a date"),
            aggregator: "org".parse().expect("an id"),
            dataset: Dataset::PACKS.name,
            run_id: "01900000-0000-7000-8000-000000000001".parse().expect("an id"),
            lake: "s3://bucket/a_b_c".to_owned(),
            title: "2 regressed, 1 remediated".to_owned(),
            reason: Some("so\nit @channel is".to_owned()),
            changes: BTreeMap::from([("regressed".to_owned(), 2), ("remediated".to_owned(), 1)]),
            packs: vec![
                Packs { change: "regressed", count: 2, first: vec![pack("000000000001")] },
                Packs { change: "remediated", count: 1, first: vec![pack("000000000002")] },
            ],
            report_url: None,
        }
    }

    /// The same of rules that are why: one change, each with more rules than are named, as long as AWS has them.
    pub(crate) fn largest_of_rules() -> Message {
        let mut packs = largest().packs.swap_remove(0);
        packs.first.iter_mut().for_each(|pack| pack.rules = Rules::Are(vec!["\u{1}".repeat(128); 50]));
        Message { packs: vec![packs], changes: BTreeMap::new(), reason: None, ..largest() }
    }

    /// The largest that there is: names as long as AWS has them, and every other text of letters that JSON escapes.
    pub(crate) fn largest() -> Message {
        let packs = |change| Packs {
            change,
            count: u64::MAX,
            first: vec![
                Pack {
                    account_id: "0".repeat(12),
                    aws_region: "r".repeat(64),
                    conformance_pack_name: "p".repeat(256),
                    rules: Rules::NotAsked,
                };
                20
            ],
        };
        Message {
            reason: Some("\u{1}".repeat(1_000_000)),
            lake: format!("s3://{}", "l".repeat(1_024)),
            packs: vec![packs("regressed"), packs("remediated")],
            ..message()
        }
    }

    #[test]
    fn a_document_names_the_day_and_lists_packs_with_their_count() {
        let document = message().document();
        assert_eq!(document["detail_type"], "Compline Day Changed");
        assert_eq!(document["title"], "Compline: org 2026-03-01: 2 regressed, 1 remediated");
        assert_eq!(document["changes"], json!({"regressed": 2, "remediated": 1}));
        assert_eq!(document["regressed"]["count"], 2);
        assert_eq!(document["regressed"]["first"][0]["account_id"], "000000000001");
    }

    #[test]
    fn a_message_of_rules_says_so_in_its_title_and_its_document() {
        let message = Message { dataset: Dataset::RULES.name, ..message() };
        assert_eq!(message.document()["dataset"], "rules");
        assert!(text::plain(&message).starts_with("Compline: org (rules) 2026-03-01: "));
    }

    #[test]
    fn a_report_is_linked_as_it_is_in_every_form() {
        let url = "https://reports.example/a_b/2026-03-01.html";
        let message = Message { report_url: Some(url.to_owned()), ..message() };
        assert_eq!(message.document()["report_url"], url);
        for text in [text::plain(&message), text::slack(&message), text::markdown(&message)] {
            assert!(text.ends_with(&format!("\nreport {url}")), "{text}");
        }
    }

    #[test]
    fn the_largest_document_is_within_what_sns_and_eventbridge_take_twice_over() {
        for message in [largest(), largest_of_rules()] {
            let document = message.document().to_string();
            assert!(document.len() < 256 << 10, "{}", document.len());
        }
        assert!(largest().document().to_string().len() < 128 << 10);
    }
}
