//! What to do where a server is not reached, by what went wrong on the way.

/// What to do about a call that did not reach its server, by the words of the error; nothing where they do not say.
pub fn connection_hint(reason: &str) -> Option<&'static str> {
    let reason = reason.to_lowercase();
    let says = |words: &str| reason.contains(words);
    if says("unknownissuer") {
        return Some(
            "its certificate is of an authority that this machine does not trust: where a company's proxy reads TLS, set \
             AWS_CA_BUNDLE to the file of the company's certificates",
        );
    }
    // Each in the two ways in which the TLS library says it.
    if ["notvalidyet", "certificate not valid yet", "peer certificate: expired", "certificate expired"]
        .into_iter()
        .any(says)
    {
        return Some("its certificate is not valid at this machine's time: is the clock right?");
    }
    if says("notvalidforname") || says("certificate not valid for name") {
        return Some("its certificate is of another host: is the endpoint right?");
    }
    if says("connection refused") {
        let names_a_proxy = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
            .into_iter()
            .any(|name| std::env::var_os(name).is_some_and(|url| !url.is_empty()));
        return Some(match names_a_proxy {
            true => "nothing listens there: is the endpoint right, and the proxy that HTTPS_PROXY or HTTP_PROXY names?",
            false => "nothing listens there: is the endpoint right, and what it names up?",
        });
    }
    if says("dns error") {
        return Some("that host's name is not known here: are the region and the endpoint right, and is DNS up?");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_only_given_for_what_the_words_say() {
        for (reason, hint) in [
            ("client error (Connect): invalid peer certificate: UnknownIssuer", Some("AWS_CA_BUNDLE")),
            ("invalid peer certificate: Expired", Some("clock")),
            ("invalid peer certificate: certificate expired: verification time 1 (UNIX), but", Some("clock")),
            (
                "invalid peer certificate: certificate not valid for name \"x\"; certificate is only",
                Some("another host"),
            ),
            ("tcp connect error: Connection refused (os error 111)", Some("nothing listens there")),
            ("dns error: failed to lookup address information", Some("not known here")),
            ("connection reset by peer", None),
        ] {
            let found = connection_hint(reason);
            assert_eq!(found.is_some(), hint.is_some(), "{reason}");
            assert!(found.is_none_or(|found| found.contains(hint.unwrap_or_default())), "{reason}");
        }
    }
}
