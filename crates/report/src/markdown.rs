//! The main tables as Markdown, for an issue or a wiki.

use crate::figures::{AggregatorFigures, Change, Figures, Line, OpenPack, RuleFigures};
use crate::numbers::{count, days, percent, plural, points};
use crate::text::is_unseen;
use std::fmt::Write;

/// How many rows a table has here.
const MAX_ROWS: usize = 20;

pub(crate) fn markdown(figures: &Figures) -> String {
    let mut text = format!("# Conformance packs on {}\n\n{}\n", figures.date, code(&figures.lake));
    if let Some(why) = &figures.without_names {
        let _ = writeln!(text, "\nAccounts without names: {}", plain(why));
    }
    if figures.aggregators.is_empty() {
        text.push_str("\nThe lake has no aggregator.\n");
    }
    for aggregator in &figures.aggregators {
        let _ = write!(text, "\n## {}\n\n", plain(&aggregator.aggregator));
        of_aggregator(&mut text, aggregator);
    }
    text
}

fn of_aggregator(text: &mut String, of: &AggregatorFigures) {
    let Some(date) = of.snapshot_date else {
        text.push_str("No snapshot.\n");
        return;
    };
    if let Some(total) = &of.total {
        let _ = writeln!(
            text,
            "**{}** of packs compliant on {date} ({} of {}); 7 days {}, 30 days {}, 90 days {} percentage points.\n",
            percent(total.pack_rate),
            count(Some(total.compliant.into())),
            plural((total.compliant + total.non_compliant).into(), "pack"),
            points(total.pack_rate_change_7d),
            points(total.pack_rate_change_30d),
            points(total.pack_rate_change_90d)
        );
    } else {
        let _ = writeln!(text, "The snapshot of {date} has no trends.\n");
    }
    for line in unseen(of) {
        let _ = writeln!(text, "- {line}");
    }
    for (title, lines) in [("Regions", &of.regions), ("Pack groups", &of.pack_groups), ("Worst accounts", &of.accounts)]
    {
        lines_table(text, title, lines);
    }
    if let Some(regressed) = &of.regressed {
        changes_table(text, "Regressed since the previous snapshot", &regressed.first, regressed.count);
        if of.rules.is_some() {
            why(text, &regressed.first);
        }
    }
    if let Some(rules) = &of.rules {
        rules_table(text, rules);
    }
    if let Some(open) = &of.open_regressions {
        open_table(text, &open.first, open.count);
    }
    if let Some(remediated) = &of.remediated {
        let from = of.remediated_from.map_or_else(String::new, |from| format!(" since {from}"));
        changes_table(text, &format!("Remediated{from}"), &remediated.first, remediated.count);
    }
}

/// What is not seen of an aggregator.
fn unseen(of: &AggregatorFigures) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(old) = of.days_old.filter(|old| *old > 0) {
        lines.push(format!("the last snapshot is {} old", days(Some(old.into()))));
    }
    if of.is_facts_only {
        lines.push("facts only: the day has no trends".to_owned());
    }
    for (dates, what) in [(&of.held, "held"), (&of.gaps, "without a snapshot"), (&of.without_trends, "without trends")]
    {
        if !dates.is_empty() {
            let shown: Vec<String> = dates.iter().take(MAX_ROWS).map(ToString::to_string).collect();
            let more = dates.len().saturating_sub(MAX_ROWS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("{} {what}: {}{more}", plural(dates.len() as i64, "day"), shown.join(", ")));
        }
    }
    if let Some(from) = of.trends_out_of_date_from {
        lines.push(format!("trends are out of date from {from} on"));
    }
    if let Some(sources) = of.sources.as_ref().filter(|sources| sources.stale.count > 0) {
        lines.push(format!("{} of {}", plural(sources.stale.count as i64, "stale source"), sources.count));
    }
    let mut changed = of.total.iter().flat_map(|total| &total.history).filter_map(|point| point.filters_changed_on);
    if let Some(date) = changed.next_back() {
        lines.push(format!("the filters changed on {date}: other packs are collected from then on"));
    }
    if !of.remediated_not_seen.is_empty() {
        let days = plural(of.remediated_not_seen.len() as i64, "day");
        lines.push(format!("no changes of {days}, so packs remediated then are not listed"));
    }
    if of.total.is_some() && of.regressed.is_none() {
        lines.push("no changes of the day, so it is not known which packs regressed".to_owned());
    }
    if of.total.is_some() && of.open_regressions.is_none() {
        lines.push("no states of the day, so open regressions are not known".to_owned());
    }
    if of.snapshot_date.is_some() && of.sources.is_none() {
        lines.push("no list of sources of the day, so stale sources are not known".to_owned());
    }
    lines.extend(of.unread.iter().map(|what| format!("not read: {}", plain(what))));
    lines
}

fn heading(text: &mut String, title: &str, shown: usize, all: u64) {
    let of_all = if (shown as u64) < all { format!(" ({shown} of {all})") } else { String::new() };
    let _ = write!(text, "\n### {title}{of_all}\n\n");
}

fn lines_table(text: &mut String, title: &str, lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    let shown = lines.len().min(MAX_ROWS);
    heading(text, title, shown, lines.len() as u64);
    text.push_str("| | packs | compliant | 30 days | regressed | remediated |\n|---|---:|---:|---:|---:|---:|\n");
    for line in &lines[..shown] {
        let name = line.name.as_ref().map(|name| format!("{} ", plain(name))).unwrap_or_default();
        let changes = [line.regressed, line.remediated].map(|number| count(number.map(i64::from)));
        let (packs, rate) = (count(Some(line.packs.into())), percent(line.pack_rate));
        let (value, change) = (plain(&line.value), points(line.pack_rate_change_30d));
        let _ = writeln!(text, "| {name}{value} | {packs} | {rate} | {change} | {} | {} |", changes[0], changes[1]);
    }
}

fn changes_table(text: &mut String, title: &str, changes: &[Change], all: u64) {
    if changes.is_empty() {
        return;
    }
    let shown = changes.len().min(MAX_ROWS);
    heading(text, title, shown, all);
    text.push_str("| pack | account | region | day | after |\n|---|---|---|---|---:|\n");
    for change in &changes[..shown] {
        let after = days(change.days_in_previous_status.map(f64::from));
        let (pack, region) = (plain(&change.conformance_pack_name), plain(&change.aws_region));
        let account = account(&change.account_id, change.account_name.as_ref());
        let _ = writeln!(text, "| {pack} | {account} | {region} | {} | {after} |", change.date);
    }
}

/// The rules that made the listed packs regress.
fn why(text: &mut String, regressed: &[Change]) {
    if regressed.is_empty() {
        return;
    }
    text.push_str("\nRules of them that turned non-compliant:\n\n");
    for change in regressed.iter().take(MAX_ROWS) {
        let (pack, region) = (plain(&change.conformance_pack_name), plain(&change.aws_region));
        let rules = change.rule_groups.as_ref().map(|rules| {
            let named: Vec<String> = rules.iter().take(MAX_ROWS).map(|rule| plain(rule)).collect();
            let more = rules.len() - named.len();
            named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
        });
        let rules = rules.unwrap_or_else(|| "could not be told".to_owned());
        let _ = writeln!(text, "- {pack} {} {region}: {rules}", plain(&change.account_id));
    }
}

fn rules_table(text: &mut String, rules: &RuleFigures) {
    if rules.groups.first.is_empty() {
        return;
    }
    let shown = rules.groups.first.len().min(MAX_ROWS);
    heading(text, "Rules that fail most", shown, rules.groups.count);
    text.push_str(
        "| rule | rules | non-compliant | compliant | 30 days | regressed |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for group in &rules.groups.first[..shown] {
        let (name, rate, change) =
            (plain(&group.rule_group), percent(group.rule_rate), points(group.rule_rate_change_30d));
        let [all, failing] = [group.rules, group.non_compliant].map(|number| count(Some(number.into())));
        let regressed = count(group.regressed.map(i64::from));
        let _ = writeln!(text, "| {name} | {all} | {failing} | {rate} | {change} | {regressed} |");
    }
}

fn open_table(text: &mut String, open: &[OpenPack], all: u64) {
    if open.is_empty() {
        return;
    }
    let shown = open.len().min(MAX_ROWS);
    heading(text, "Open regressions", shown, all);
    text.push_str("| pack | account | region | since | age |\n|---|---|---|---|---:|\n");
    for pack in &open[..shown] {
        let account = account(&pack.account_id, pack.account_name.as_ref());
        let (name, region) = (plain(&pack.conformance_pack_name), plain(&pack.aws_region));
        let age = days(Some(pack.age_days.into()));
        let _ = writeln!(text, "| {name} | {account} | {region} | {} | {age} |", pack.status_since);
    }
}

fn account(id: &str, name: Option<&String>) -> String {
    name.map_or_else(|| plain(id), |name| format!("{} {}", plain(name), plain(id)))
}

/// Text that is nothing but text where Markdown is read: no markup, no line, no cell of its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '$' => {
                plain.push('\\');
                plain.push(letter);
            }
            // A mention or a link that the reader's tool would make of it.
            '@' => plain.push_str("&#64;"),
            ':' => plain.push_str("&#58;"),
            letter if is_unseen(letter) => plain.push(' '),
            letter => plain.push(letter),
        }
    }
    // GitHub makes a link of it without a scheme.
    plain.replace("www.", "www&#46;").replace("WWW.", "WWW&#46;")
}

/// Text as code, which nothing in it ends.
fn code(text: &str) -> String {
    let text: String =
        text.chars().map(|letter| if letter.is_control() || letter == '`' { ' ' } else { letter }).collect();
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_markup() {
        assert_eq!(plain("<b>|`x`\n[a](javascript:b)"), "&lt;b&gt;\\|\\`x\\` \\[a\\]\\(javascript&#58;b\\)");
        assert_eq!(plain("www.evil.example"), "www&#46;evil.example");
        assert_eq!(code("s3://a`b"), "`s3://a b`");
    }
}
