//! Reports beside the tables: one of each day, and the latest.

use super::Lake;
use crate::SinkError;
use crate::store::{Condition, Version};
use bytes::Bytes;
use compline_model::SnapshotDate;

/// Where reports are.
const FOLDER: &str = "reports/";

/// A report of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFile {
    /// That of a day.
    Of(SnapshotDate),
    /// That of the last day.
    Latest,
}

/// Which report was there before another one was made.
#[derive(Debug, Clone)]
pub struct SeenReport(Option<Version>);

impl ReportFile {
    /// Its path below the lake.
    pub fn key(self) -> String {
        match self {
            Self::Of(date) => format!("{FOLDER}{date}.html"),
            Self::Latest => format!("{FOLDER}latest.html"),
        }
    }
}

/// Whether an object is a report.
pub(super) fn is_report(key: &str) -> bool {
    let name = key.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".html"));
    name.is_some_and(|name| name == "latest" || name.parse::<SnapshotDate>().is_ok())
}

impl Lake {
    /// Which report is there now: to be asked before the tables are read that the next one is made of.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn seen_report(&self, file: ReportFile) -> Result<SeenReport, SinkError> {
        Ok(SeenReport(self.store.version(&file.key()).await?))
    }

    /// Replaces a report, unless another run has since it was seen: that one may know of days that this one does not. Whether it
    /// is there now.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn replace_report(&self, file: ReportFile, seen: SeenReport, html: Bytes) -> Result<bool, SinkError> {
        self.store.put_if(&file.key(), html, Condition::since(seen.0)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_that_another_run_replaced_meanwhile_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        let file = ReportFile::Of("2026-01-02".parse().expect("a date"));
        let (mine, theirs) =
            (lake.seen_report(file).await.expect("asked"), lake.seen_report(file).await.expect("asked"));
        let put = async |seen, text: &'static [u8]| lake.replace_report(file, seen, Bytes::from_static(text)).await;
        assert!(put(theirs, b"theirs").await.expect("put"));
        assert!(!put(mine, b"mine").await.expect("put"));
        assert_eq!(lake.store.get("reports/2026-01-02.html").await.expect("read"), Some(Bytes::from_static(b"theirs")));
        let seen = lake.seen_report(file).await.expect("asked");
        assert!(put(seen, b"mine").await.expect("put"));
    }

    #[tokio::test]
    async fn reports_are_expected_and_what_else_is_beside_them_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        for key in ["reports/2026-01-02.html", "reports/latest.html", "reports/mine.html"] {
            lake.store.put(key, Bytes::from_static(b"x")).await.expect("put");
        }
        let unexpected = lake.inventory(chrono::Utc::now()).await.expect("listed").unexpected;
        let keys: Vec<&str> = unexpected.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["reports/mine.html"]);
    }
}
