/// What groups the same pack over accounts: `OrgConformsPack-<name>-<8 of [a-z0-9]>` gives `<name>`, any other name is
/// itself.
///
/// Organization packs show up in member accounts with that prefix and an ending that differs between accounts and after a
/// re-creation, so the full name alone would break every trend.
pub fn pack_group(conformance_pack_name: &str) -> &str {
    let organization = conformance_pack_name
        .strip_prefix("OrgConformsPack-")
        .and_then(|rest| rest.rsplit_once('-'))
        .filter(|(name, ending)| !name.is_empty() && is_ending(ending));
    match organization {
        Some((name, _)) => name,
        None => conformance_pack_name,
    }
}

fn is_ending(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::pack_group;

    #[test]
    fn b26_the_ending_is_cut_only_where_the_prefix_and_eight_characters_are() {
        for (name, group) in [
            ("OrgConformsPack-cis-level1-ab12cd34", "cis-level1"),
            ("OrgConformsPack-cis-level1-zz99yy88", "cis-level1"),
            ("OrgConformsPack-my-pack-prod", "OrgConformsPack-my-pack-prod"),
            ("OrgConformsPack-my-pack-PROD1234", "OrgConformsPack-my-pack-PROD1234"),
            ("OrgConformsPack--ab12cd34", "OrgConformsPack--ab12cd34"),
            ("OrgConformsPack-ab12cd34", "OrgConformsPack-ab12cd34"),
            ("web-baseline1", "web-baseline1"),
            ("cis-level1-ab12cd34", "cis-level1-ab12cd34"),
            ("", ""),
        ] {
            assert_eq!(pack_group(name), group);
        }
    }
}
