//! What a Config rule's name says of where the rule comes from.

/// What the names of a conformance pack's rules have between the rule's own name and the pack's id.
const BEFORE_PACK_ID: &str = "-conformance-pack-";

/// A rule's name in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleName<'a> {
    /// What groups the same rule over accounts.
    pub group: &'a str,
    /// The id of the conformance pack that deployed it, if one did. It is not in the pack's name, and is another one in each account and
    /// region.
    pub conformance_pack_id: Option<&'a str>,
}

impl<'a> RuleName<'a> {
    /// The parts of a full name. An ending that differs between accounts is cut off, so that one rule is one group:
    /// - `<rule>-conformance-pack-<id>` of a conformance pack gives `<rule>`. AWS does not document it; an id is 8 to 12 of
    ///   `[a-z0-9]`, and 9 have been seen;
    /// - `OrgConfigRule-<rule>-<8 of [a-z0-9]>` of an organization gives `OrgConfigRule-<rule>`, as AWS Audit Manager documents it;
    /// - `securityhub-<rule>-<8 hexadecimal digits>` gives `securityhub-<rule>`, as Security Hub documents it but for the length;
    /// - any other name is itself.
    pub fn of(config_rule_name: &'a str) -> Self {
        let of_pack = config_rule_name
            .rsplit_once(BEFORE_PACK_ID)
            .filter(|(rule, id)| !rule.is_empty() && (8..=12).contains(&id.len()) && id.bytes().all(is_of_id));
        if let Some((group, id)) = of_pack {
            return Self { group, conformance_pack_id: Some(id) };
        }
        let ending = |prefix: &str, is_of_ending: fn(u8) -> bool| {
            let (rule, ending) = config_rule_name.rsplit_once('-')?;
            let is_ending = ending.len() == 8 && ending.bytes().all(is_of_ending);
            (is_ending && rule.len() > prefix.len() && rule.starts_with(prefix)).then_some(rule)
        };
        let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let group = ending("OrgConfigRule-", is_of_id).or_else(|| ending("securityhub-", is_hexadecimal));
        Self { group: group.unwrap_or(config_rule_name), conformance_pack_id: None }
    }
}

fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_is_one_group_whoever_deployed_it_and_a_pack_is_told_by_its_id_alone() {
        for (name, group, id) in [
            ("restricted-ssh-conformance-pack-ab12cd34e", "restricted-ssh", Some("ab12cd34e")),
            ("restricted-ssh-conformance-pack-zz99yy88x", "restricted-ssh", Some("zz99yy88x")),
            (
                "a-conformance-pack-ab12cd34e-conformance-pack-zz99yy88x",
                "a-conformance-pack-ab12cd34e",
                Some("zz99yy88x"),
            ),
            ("restricted-ssh", "restricted-ssh", None),
            ("audit-conformance-pack-changes", "audit-conformance-pack-changes", None),
            ("audit-conformance-pack-AB12CD34E", "audit-conformance-pack-AB12CD34E", None),
            ("-conformance-pack-ab12cd34e", "-conformance-pack-ab12cd34e", None),
            ("OrgConfigRule-restricted-ssh-ab12cd34", "OrgConfigRule-restricted-ssh", None),
            ("OrgConfigRule-required-tags-prod", "OrgConfigRule-required-tags-prod", None),
            ("OrgConfigRule--ab12cd34", "OrgConfigRule--ab12cd34", None),
            ("securityhub-vpc-flow-logs-enabled-1a2b3c4d", "securityhub-vpc-flow-logs-enabled", None),
            ("securityhub-enabled", "securityhub-enabled", None),
            ("securityhub-1a2b3c4d", "securityhub-1a2b3c4d", None),
            ("Root account has MFA", "Root account has MFA", None),
            ("", "", None),
        ] {
            assert_eq!(RuleName::of(name), RuleName { group, conformance_pack_id: id }, "{name}");
        }
    }
}
