//! `[report]`: the report that each run writes beside the tables.

use super::text::{NamesFrom, ReportsUrl};
use super::value::{Text, Whole};
use super::{NamesSource, ReportSettings};
use serde::Deserialize;

/// How many days back a report goes unless it is told.
pub(crate) const REPORT_DAYS: u32 = 90;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    #[serde(default)]
    days: Whole<1, 400, REPORT_DAYS>,
    account_names: Option<Text<NamesFrom>>,
    url: Option<Text<ReportsUrl>>,
}

impl Report {
    pub(super) fn settings(self, is_published: bool) -> ReportSettings {
        ReportSettings {
            is_published,
            days: self.days.0,
            account_names: self.account_names.map(|names| NamesSource::from_text(&names.0.0)),
            url: self.url.map(|url| url.0.0.trim_end_matches('/').to_owned()),
        }
    }
}
