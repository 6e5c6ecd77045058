//! Samples as Prometheus reads them from a text file.

use crate::Sample;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;

type Gauges = Family<Vec<(&'static str, String)>, Gauge<f64, AtomicU64>>;

/// The samples in Prometheus' text format (that of OpenMetrics, which its parser takes too), for the textfile collector of the node
/// exporter.
///
/// # Errors
/// None but for a machine without memory.
pub fn prometheus(samples: &[Sample]) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let mut families: BTreeMap<&str, Gauges> = BTreeMap::new();
    for Sample { metric, labels, value } in samples {
        let family = families.entry(metric.name).or_insert_with(|| {
            let family = Gauges::default();
            registry.register(metric.name, metric.help, family.clone());
            family
        });
        family.get_or_create(&labels.iter().map(|(name, value)| (*name, printable(value))).collect()).set(*value);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// A value without control characters, which some readers take for the end of a line; a line feed has an escape of the format.
fn printable(value: &str) -> String {
    let is_printable = |letter: char| !letter.is_control() || letter == '\n';
    value
        .chars()
        .map(|letter| if is_printable(letter) { letter.into() } else { letter.escape_debug().to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Unit};

    #[test]
    fn values_are_escaped_and_series_of_a_metric_stand_together() {
        let metric = Metric { name: "compline_held_days", help: "Days that are held", unit: Unit::Count };
        let of = |lake: &str, value| Sample { metric, labels: vec![("lake", lake.to_owned())], value };
        let text = prometheus(&[of("a\"b\\c\nd", 1.0), of("other", 2.5)]).expect("a text");
        assert!(
            text.starts_with("# HELP compline_held_days Days that are held.\n# TYPE compline_held_days gauge\n"),
            "{text}"
        );
        assert!(text.contains("compline_held_days{lake=\"a\\\"b\\\\c\\nd\"} 1.0\n"), "{text}");
        assert!(text.contains("compline_held_days{lake=\"other\"} 2.5\n"), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 1, "{text}");
        let text = prometheus(&[of("a\rb\0", 1.0)]).expect("a text");
        assert!(text.contains("compline_held_days{lake=\"a\\\\rb\\\\0\"} 1.0\n"), "{text}");
    }
}
