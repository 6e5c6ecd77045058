//! A report: what it says ([`Figures`]), and how: as one HTML file, as Markdown, as CSV, as JSON. No I/O, no clock.

mod csv;
mod figures;
mod html;
mod markdown;
mod numbers;
mod text;

pub use figures::{
    AggregatorFigures, Change, FIGURES_VERSION, Figures, HeatCell, HeatMap, HeatRow, Line, Listed, MAX_HEAT_ACCOUNTS,
    MAX_HEAT_GROUPS, MAX_HISTORIES, MAX_LISTED, OpenPack, Point, RuleFigures, RuleGroup, Sources, StaleSource,
};

pub use numbers::{percent, points};
pub use text::is_unseen;

/// A report could not be written down: a defect of Compline.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The template refused the figures.
    #[error("cannot write the report as HTML: {0:#}; please report it with this message")]
    Html(#[from] minijinja::Error),
    /// A row could not be written.
    #[error("cannot write the report as CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// The document could not be written.
    #[error("cannot write the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Figures {
    /// One HTML file that needs nothing else: no network, no script to be read, though a little to sort and filter.
    ///
    /// # Errors
    /// None that figures can cause.
    pub fn html(&self) -> Result<String, ReportError> {
        html::html(self)
    }

    /// The main tables, to be pasted into an issue or a wiki.
    pub fn markdown(&self) -> String {
        markdown::markdown(self)
    }

    /// Every line of every dimension, accounts included, as a table with a header.
    ///
    /// # Errors
    /// None that figures can cause.
    pub fn csv(&self) -> Result<String, ReportError> {
        csv::csv(self)
    }

    /// The figures as they are, as a JSON document.
    ///
    /// # Errors
    /// None that figures can cause.
    pub fn json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
