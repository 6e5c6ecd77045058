//! What to do where a server is not reached, by what went wrong on the way.

use crate::trust;

/// What to do about a call that did not reach its server, by the words of the error; nothing where they do not say.
pub fn connection_hint(reason: &str) -> Option<&'static str> {
    let reason = reason.to_lowercase();
    let says = |words: &str| reason.contains(words);
    if says("unknownissuer") && trust::none_found() {
        return Some(
            "this machine has no certificate authorities, so that no server can be trusted: install them (the package \
             ca-certificates), or set SSL_CERT_FILE or AWS_CA_BUNDLE to a file of them",
        );
    }
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

/// What to do about a call that this machine's own limits stopped; nothing where it was something else.
pub fn limit_hint(reason: &str) -> Option<&'static str> {
    let reason = reason.to_lowercase();
    if reason.contains("too many open files") {
        return Some("this process may open no more files and connections: raise its limit (`ulimit -n`, LimitNOFILE)");
    }
    reason
        .contains("cannot assign requested address")
        .then_some("this machine has no free port for another connection: is something else holding thousands of them?")
}

const TOO_LONG: &str =
    "role_duration_secs is longer than the role allows; a role that is assumed by a role has one hour at most";
const REGION_IS_OFF: &str = "STS is not active in that region for the account of the role: activate it (IAM, account settings), or the \
    region itself if it is an opt-in one";
const NO_PROVIDER: &str = "the role's account does not trust the token: is there an IAM OIDC provider for its issuer, and does the role's \
    trust policy name that and the service account?";
const MAY_ASSUME: &str =
    "may this identity assume the role (sts:AssumeRole), and does the role's trust policy name it and the external id?";
const REACH_STS: &str = "credentials are fetched over the network, those of a role from STS: is it up, and HTTPS_PROXY set if \
    this machine needs it?";
const NOT_STS: &str = "who gives credentials, such as STS, did not answer as it does: a proxy or a firewall may answer in its place, or \
    AWS_ENDPOINT_URL_STS (or AWS_ENDPOINT_URL) is another server's";
const EXPIRED: &str = "the credentials have ended: sign in again";
const CLOCK: &str = "is this machine's clock right, and the secret key that of the access key id?";
const UNKNOWN_KEY: &str = "STS does not know the access key id: is it of this AWS partition, and is the region, if it is an opt-in one, \
    switched on for the account?";
const SIGN_IN: &str = "sign in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// What to do about credentials that could not be had, by the words of the error.
pub fn credentials_hint(reason: &str) -> &'static str {
    let reason = reason.to_lowercase();
    // The first that fits: what STS said before how it was asked.
    let by_words: [(&[&str], &'static str); 10] = [
        (&["durationseconds"], TOO_LONG),
        (&["regiondisabled"], REGION_IS_OFF),
        (&["invalididentitytoken"], NO_PROVIDER),
        (&["accessdenied"], MAY_ASSUME),
        (&["expiredtoken"], EXPIRED),
        (&["signaturedoesnotmatch", "requestexpired"], CLOCK),
        (&["invalidclienttokenid"], UNKNOWN_KEY),
        // With a code in parentheses it is an error of STS that the SDK has no name for.
        (&["unhandled error:", "parsing xml", "response error"], NOT_STS),
        (&["assumerole"], MAY_ASSUME),
        (&["io error", "timeout"], REACH_STS),
    ];
    let fits = |(words, _): &(&[&str], &'static str)| words.iter().any(|words| reason.contains(words));
    by_words.into_iter().find(fits).map_or(SIGN_IN, |(_, hint)| hint)
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
        assert!(
            limit_hint("tcp open error: Too many open files (os error 24)")
                .is_some_and(|hint| hint.contains("ulimit -n"))
        );
        assert_eq!(limit_hint("connection reset by peer"), None);
    }

    #[test]
    fn f17_what_is_wrong_with_credentials_is_told_apart_by_what_sts_said() {
        let loading = "an error occurred while loading credentials: ";
        for (reason, hint) in [
            ("ValidationError: the DurationSeconds exceeds the 1 hour session limit", "one hour at most"),
            ("RegionDisabledException: STS is not activated in this region", "activate it"),
            ("InvalidIdentityToken: No OpenIDConnect provider found", "OIDC provider"),
            ("AccessDenied: not authorized to perform sts:AssumeRole", "trust policy"),
            ("service error: unhandled error: Error", "a proxy or a firewall"),
            (
                "service error: unhandled error (InvalidClientTokenId): Error { code: \"InvalidClientTokenId\"",
                "does not know the access key",
            ),
            ("service error: unhandled error (SignatureDoesNotMatch): Error", "clock right"),
            ("service error: unhandled error (ExpiredToken): Error", "sign in again"),
            ("service error: unhandled error (Throttling): Error", "sign in"),
            ("service error: unhandled error: error parsing XML: no root element", "a proxy or a firewall"),
            ("response error: end of file before message length reached", "a proxy or a firewall"),
            ("dispatch failure: io error: connection refused", "over the network"),
            ("the credential provider was not enabled", "sign in"),
        ] {
            let found = credentials_hint(&format!("{loading}{reason}"));
            assert!(found.contains(hint), "{reason}: {found}");
        }
    }
}
