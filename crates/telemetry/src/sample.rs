//! A measured value with its name and labels.

/// A metric: all are gauges, since each run is a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// As Prometheus has it, its unit included.
    pub name: &'static str,
    /// What it is, without a full stop.
    pub help: &'static str,
    /// What it counts.
    pub unit: Unit,
}

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things, or yes (1) and no (0).
    Count,
    /// Seconds, or a time as seconds since 1970.
    Seconds,
    /// Bytes.
    Bytes,
    /// Days.
    Days,
    /// A share, 0 to 1.
    Ratio,
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What was measured.
    pub metric: Metric,
    /// Of what: names and values, the same names for every sample of a metric.
    pub labels: Vec<(&'static str, String)>,
    /// A finite number.
    pub value: f64,
}
