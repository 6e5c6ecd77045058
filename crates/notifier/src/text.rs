//! The text that people read, with every value escaped for where it is shown.

use crate::{Message, Rules};

/// Characters that Markdown may take for more than themselves.
const OF_MARKDOWN: &str = "\\`*_{}[]()#+-.!|~";

/// A text in which nothing is escaped.
pub(crate) fn plain(message: &Message) -> String {
    lines(message, one_line).join("\n")
}

/// For Slack, which is told to leave Markdown alone: `&`, `<` and `>` are what is left.
pub(crate) fn slack(message: &Message) -> String {
    lines(message, |value| without_mentions(&entities(&one_line(value)))).join("\n")
}

/// For a Markdown that passes HTML entities through, and knows Slack's mentions in angle brackets.
pub(crate) fn markdown(message: &Message) -> String {
    let escaped = |value: &str| {
        let mut text = String::new();
        for letter in one_line(value).chars() {
            if OF_MARKDOWN.contains(letter) {
                text.push('\\');
            }
            text.push(letter);
        }
        without_mentions(&entities(&text))
    };
    lines(message, escaped).join("\n")
}

/// The lines of a message. Values go through `escaped`; what is beside them is ours, and means nothing to anybody.
pub(crate) fn lines(message: &Message, escaped: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = vec![escaped(&message.headline())];
    lines.extend(message.short_reason().map(|reason| escaped(&reason)));
    let others = message.changes.iter().filter(|(change, _)| message.packs.iter().all(|packs| packs.change != *change));
    let others: Vec<String> = others.map(|(change, count)| format!("{count} {}", escaped(change))).collect();
    if !others.is_empty() {
        lines.push(format!("also {}", others.join(", ")));
    }
    for packs in message.packs.iter().filter(|packs| packs.count > 0) {
        lines.push(format!("{} {}", packs.count, packs.change));
        lines.extend(packs.first.iter().map(|pack| {
            let name = [&pack.account_id, &pack.aws_region, &pack.conformance_pack_name].map(|part| escaped(part));
            format!("- {}{}", name.join(" "), rules(&pack.rules, &escaped))
        }));
        let more = packs.count.saturating_sub(packs.first.len() as u64);
        if more > 0 {
            lines.push(format!("- and {more} more"));
        }
    }
    lines.push(format!("lake {}, run {}", escaped(&message.lake), escaped(&message.run_id.to_string())));
    // As it is, or it would be no link.
    lines.extend(message.report_url.as_ref().map(|url| format!("report {url}")));
    lines
}

/// How many rules of a pack are named: a text has no more than a screen.
const MAX_RULES: usize = 3;

/// What is said of the rules that are why a pack changed.
fn rules(rules: &Rules, escaped: &impl Fn(&str) -> String) -> String {
    match rules {
        Rules::NotAsked => String::new(),
        Rules::NotTold => ": which rules could not be told".to_owned(),
        Rules::Are(rules) => {
            let named: Vec<String> = rules.iter().take(MAX_RULES).map(|rule| escaped(rule)).collect();
            let more = rules.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(": {}{more}", named.join(", "))
        }
    }
}

/// A value on one line, without what a screen would obey.
pub(crate) fn one_line(value: &str) -> String {
    let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn entities(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `@channel` and the like call everybody, also from within a text: a space of no width makes it two words.
fn without_mentions(value: &str) -> String {
    value.replace('@', "@\u{200b}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::{largest, largest_of_rules, message};

    #[test]
    fn a_text_says_what_happened_then_why_then_which() {
        assert_eq!(
            plain(&message()),
            "Compline: org 2026-03-01: 2 regressed, 1 remediated\n\
             so it @channel is\n\
             2 regressed\n\
             - 000000000001 eu-west-1 OrgConformsPack-a_b*c*<!channel>&[x](y)\n\
             - and 1 more\n\
             1 remediated\n\
             - 000000000002 eu-west-1 OrgConformsPack-a_b*c*<!channel>&[x](y)\n\
             lake s3://bucket/a_b_c, run 01900000-0000-7000-8000-000000000001"
        );
    }

    #[test]
    fn rules_that_are_why_are_named_and_it_is_said_where_they_could_not_be_told() {
        let mut message = message();
        let rules = ["a<b", "c", "d", "e"].map(str::to_owned).to_vec();
        message.packs[0].first[0].rules = Rules::Are(rules);
        message.packs[1].first[0].rules = Rules::NotTold;
        let text = slack(&message);
        assert!(text.contains("[x](y): a&lt;b, c, d and 1 more\n"), "{text}");
        assert!(text.contains("[x](y): which rules could not be told\n"), "{text}");
    }

    #[test]
    fn other_changes_are_counted() {
        let mut message = message();
        message.changes.insert("added".to_owned(), 4);
        assert!(plain(&message).contains("\nalso 4 added\n"));
    }

    #[test]
    fn no_value_is_taken_for_a_mention_a_link_or_markdown() {
        let text = slack(&message());
        assert!(text.contains("a_b*c*&lt;!channel&gt;&amp;[x](y)") && !text.contains("@channel"), "{text}");
        assert!(!text.contains(['<', '>']), "{text}");
        let text = markdown(&message());
        assert!(text.contains(r"OrgConformsPack\-a\_b\*c\*&lt;\!channel&gt;&amp;\[x\]\(y\)"), "{text}");
        assert!(!text.contains("@channel"), "{text}");
        // A line of ours begins a list, and no value begins one of its own.
        assert!(text.lines().filter(|line| line.starts_with("- ")).count() == 3, "{text}");
    }

    #[test]
    fn the_largest_text_is_within_what_mattermost_takes() {
        for message in [largest(), largest_of_rules()] {
            assert!(plain(&message).chars().count() < 16_383 + 1_024, "{}", plain(&message).chars().count());
        }
        assert!(!plain(&largest()).contains('\u{1}'));
    }
}
