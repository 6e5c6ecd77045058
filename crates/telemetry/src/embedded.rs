//! Samples in CloudWatch's embedded metric format: a JSON object a line, from which CloudWatch Logs makes metrics.

use crate::{Sample, Unit};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many metrics one object may have:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
const MAX_METRICS: usize = 100;

/// The longest value of a dimension, in characters; longer ones are cut.
const MAX_DIMENSION: usize = 1024;

/// The samples as lines, one for each set of labels: these are the dimensions. `at_millis` is since 1970.
pub fn embedded(samples: &[Sample], namespace: &str, at_millis: i64) -> Vec<String> {
    let mut by_labels: BTreeMap<&[(&str, String)], Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_labels.entry(&sample.labels).or_default().push(sample);
    }
    let lines = by_labels.into_iter().flat_map(|(labels, samples)| {
        let objects = samples.chunks(MAX_METRICS).map(|some| object(labels, some, namespace, at_millis).to_string());
        objects.collect::<Vec<_>>()
    });
    lines.collect()
}

fn object(labels: &[(&str, String)], samples: &[&Sample], namespace: &str, at_millis: i64) -> Value {
    let metrics: Vec<Value> =
        samples.iter().map(|sample| json!({ "Name": sample.metric.name, "Unit": unit(sample.metric.unit) })).collect();
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let directive = json!({ "Namespace": namespace, "Dimensions": [names], "Metrics": metrics });
    let mut object = Map::new();
    object.insert("_aws".to_owned(), json!({ "Timestamp": at_millis, "CloudWatchMetrics": [directive] }));
    object.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), dimension(value).into())));
    object.extend(samples.iter().map(|sample| (sample.metric.name.to_owned(), sample.value.into())));
    Value::Object(object)
}

/// The value of a dimension: never empty, ASCII without control characters, as CloudWatch has it.
fn dimension(value: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    let value: String = value.trim().chars().take(MAX_DIMENSION).map(plain).collect();
    if value.is_empty() { "-".to_owned() } else { value }
}

/// As CloudWatch names units; it has none for days and shares.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "Count",
        Unit::Seconds => "Seconds",
        Unit::Bytes => "Bytes",
        Unit::Days | Unit::Ratio => "None",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;

    #[test]
    fn an_object_is_of_one_set_of_dimensions_and_of_no_more_metrics_than_cloudwatch_takes() {
        let names: Vec<&'static str> = (0..120).map(|number| &*format!("m{number}").leak()).collect();
        let of = |name, labels: &[(&'static str, &str)]| Sample {
            metric: Metric { name, help: "", unit: Unit::Count },
            labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            value: 1.0,
        };
        let mut samples: Vec<Sample> = names.iter().map(|name| of(name, &[("aggregator", "org")])).collect();
        samples.push(of("rate", &[("aggregator", "org"), ("pack_group", "\u{e4}\nb")]));
        let lines = embedded(&samples, "Compline", 1_700_000_000_000);
        let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let count = |object: &Value| object["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().map_or(0, Vec::len);
        assert_eq!(objects.iter().map(count).collect::<Vec<_>>(), [100, 20, 1]);
        assert_eq!(objects[2]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["aggregator", "pack_group"]]));
        assert_eq!(objects[2]["pack_group"], "??b");
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }
}
