//! Numbers as people read them.

use std::cmp::Ordering;

/// What is said where there is no number.
pub(crate) const NONE: &str = "n/a";

/// A rate of 0..1 as a percentage: never 100 % of what is not whole, never 0 % of what is something.
pub fn percent(rate: Option<f64>) -> String {
    let Some(rate) = rate else { return NONE.to_owned() };
    let shown = format!("{:.1}", rate * 100.0);
    match shown.as_str() {
        "100.0" if rate < 1.0 => "99.9%".to_owned(),
        "0.0" if rate > 0.0 => "0.1%".to_owned(),
        _ => format!("{shown}%"),
    }
}

/// A change of a rate in percentage points, with its sign: never 0 of what changed.
pub fn points(change: Option<f64>) -> String {
    let Some(change) = change else { return NONE.to_owned() };
    let shown = format!("{:.1}", (change.abs() * 100.0).max(0.1));
    match direction(change) {
        Ordering::Less => format!("\u{2212}{shown}"),
        Ordering::Equal => "0.0".to_owned(),
        Ordering::Greater => format!("+{shown}"),
    }
}

/// Whether a rate became less or greater.
pub(crate) fn direction(change: f64) -> Ordering {
    // One of millions of packs changes by more than what computing it may be off by.
    if change.abs() < 1e-10 { Ordering::Equal } else { change.total_cmp(&0.0) }
}

/// A count with separators.
pub(crate) fn count(count: Option<i64>) -> String {
    let Some(count) = count else { return NONE.to_owned() };
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if count < 0 { format!("\u{2212}{text}") } else { text }
}

/// Days, to a tenth.
pub(crate) fn days(days: Option<f64>) -> String {
    let Some(days) = days else { return NONE.to_owned() };
    let tenths = (days * 10.0).round() as i64;
    let whole = count(Some(tenths / 10));
    let shown = if tenths % 10 == 0 { whole } else { format!("{whole}.{}", (tenths % 10).abs()) };
    format!("{shown} day{}", if shown == "1" { "" } else { "s" })
}

/// So many of something.
pub(crate) fn plural(number: i64, what: &str) -> String {
    format!("{} {what}{}", count(Some(number)), if number == 1 { "" } else { "s" })
}

/// A coordinate, to a tenth.
pub(crate) fn px(number: f64) -> String {
    let shown = format!("{number:.1}");
    let shown = shown.strip_suffix(".0").unwrap_or(&shown);
    if shown == "-0" { "0".to_owned() } else { shown.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_100_or_0_of_the_whole_or_nothing_alone() {
        let shown = [Some(0.9342), Some(1.0), Some(0.99996), Some(0.0), Some(0.00001), None].map(percent);
        assert_eq!(shown, ["93.4%", "100.0%", "99.9%", "0.0%", "0.1%", "n/a"]);
    }

    #[test]
    fn changes_have_a_sign_and_nothing_has_none() {
        let shown = [Some(0.0123), Some(-0.004), Some(0.0), Some(-0.00001), Some(1e-17), None].map(points);
        assert_eq!(shown, ["+1.2", "\u{2212}0.4", "0.0", "\u{2212}0.1", "0.0", "n/a"]);
    }

    #[test]
    fn counts_and_days_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(|number| count(Some(number))), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [1.0, 3.5, 0.0, 1234.0].map(|number| days(Some(number))),
            ["1 day", "3.5 days", "0 days", "1,234 days"]
        );
        assert_eq!([plural(1, "pack"), plural(1000, "pack")], ["1 pack", "1,000 packs"]);
        assert_eq!([px(12.04), px(12.0), px(-0.01)], ["12", "12", "0"]);
    }
}
