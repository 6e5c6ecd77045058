//! The report as one HTML file: a template, a style and a script that are part of the program.

use crate::figures::Figures;
use crate::{ReportError, numbers};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};
use sha2::{Digest, Sha256};

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

pub(crate) fn html(figures: &Figures) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("percent", |rate: Serde<Option<f64>>| numbers::percent(rate.0));
    environment.add_filter("points", |change: Serde<Option<f64>>| numbers::points(change.0));
    environment.add_filter("direction", |change: f64| numbers::direction(change) as i8);
    environment.add_filter("count", |count: Serde<Option<i64>>| numbers::count(count.0));
    environment.add_filter("days", |days: Serde<Option<f64>>| numbers::days(days.0));
    environment.add_filter("plural", |number: i64, what: &str| numbers::plural(number, what));
    environment.add_filter("px", numbers::px);
    environment.add_template("report.html", TEMPLATE)?;
    let template = environment.get_template("report.html")?;
    // The one script that a browser may run is this one, byte for byte.
    let script_hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    let figures = Value::from(Serde(figures));
    let html = template.render(context! { style => STYLE, script => SCRIPT, script_hash, ..figures })?;
    // What defines macros leaves its lines.
    Ok(html.trim_start().to_owned())
}
