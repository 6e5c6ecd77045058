//! Variables that are wrong in ways which the SDK does not say, or panics at.

use crate::EnvironmentError;
use std::sync::Once;

/// Looks through those that become part of a header which every call has, whoever signs it.
pub(crate) fn check_headers(variable: impl Fn(&str) -> Option<String>) -> Result<(), EnvironmentError> {
    for name in ["AWS_EXECUTION_ENV", "AWS_SDK_UA_APP_ID"] {
        if let Some(letter) = variable(name).unwrap_or_default().chars().find(|letter| letter.is_control()) {
            return Err(EnvironmentError(format!(
                "{name} has {letter:?} in it, which no header can carry: set or unset it"
            )));
        }
    }
    Ok(())
}

/// Looks through those of credentials. `variable` gives the value of one, if it is set.
pub(crate) fn check(variable: impl Fn(&str) -> Option<String>) -> Result<(), EnvironmentError> {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        let value = variable(name).unwrap_or_default();
        if let Some(letter) = unsound(&value) {
            // The value itself is never said.
            return Err(EnvironmentError(format!(
                "{name} has {letter:?} in it, which no key has; a secret that `echo` made ends with a line break: make it with \
                 `printf %s`"
            )));
        }
    }
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    // Keys win over all that follows, whatever state that is in.
    if !is_set("AWS_ACCESS_KEY_ID") {
        let name = "AWS_WEB_IDENTITY_TOKEN_FILE";
        if is_set("AWS_ROLE_ARN") && variable(name).is_some_and(|path| path.is_empty()) {
            // The SDK would open "".
            let what = format!("{name} is set and empty: set it to the path of the token's file, or unset it");
            return Err(EnvironmentError(what));
        }
        let name = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
        let is_asked = is_set("AWS_CONTAINER_CREDENTIALS_FULL_URI") || is_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        if is_asked && let Some(path) = variable(name) {
            token_file(name, &path, "is the Pod Identity agent's token mounted there?")?;
        }
    }
    let role = variable("AWS_ROLE_ARN").filter(|role| !role.is_empty());
    match variable("AWS_WEB_IDENTITY_TOKEN_FILE").filter(|path| !path.is_empty()) {
        Some(path) => token_file("AWS_WEB_IDENTITY_TOKEN_FILE", &path, "is the service account's token mounted there?"),
        None => {
            // Each service loads the environment, and one warning says it.
            static SAID: Once = Once::new();
            if let Some(role) = role {
                SAID.call_once(|| {
                    tracing::warn!(
                        role,
                        "AWS_ROLE_ARN is ignored, since AWS_WEB_IDENTITY_TOKEN_FILE is not set: whoever else the environment names is \
                         asked as; `compline check` says who that is"
                    );
                });
            }
            Ok(())
        }
    }
}

/// A character that no header can carry, or that is no part of a key.
pub(crate) fn unsound(value: &str) -> Option<char> {
    value.chars().find(|letter| !letter.is_ascii_graphic())
}

fn token_file(name: &str, path: &str, hint: &str) -> Result<(), EnvironmentError> {
    let failed = |reason: String| EnvironmentError(format!("{name} is {path:?}, and {reason}; {hint}"));
    match std::fs::read_to_string(path) {
        Err(error) => Err(failed(format!("it cannot be read: {error}"))),
        Ok(token) if token.trim().is_empty() => Err(failed("it is empty".to_owned())),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(variables: &[(&str, &str)]) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        check_headers(variable).and_then(|()| check(variable)).err().map(|error| error.to_string())
    }

    #[test]
    fn w2_a_key_that_no_header_can_carry_is_named_and_not_shown() {
        for value in ["AKIA1234\n", "AKIA 1234", "AKIA\u{e9}", " AKIA", "AKIA\r\n"] {
            let error = said(&[("AWS_ACCESS_KEY_ID", value)]).expect("an error");
            assert!(error.starts_with("AWS_ACCESS_KEY_ID has ") && !error.contains("AKIA"), "{error}");
        }
        assert!(said(&[("AWS_SECRET_ACCESS_KEY", "abc\n")]).is_some());
        assert_eq!(said(&[("AWS_ACCESS_KEY_ID", "AKIA1234"), ("AWS_SECRET_ACCESS_KEY", "a/b+c=")]), None);
        assert_eq!(said(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_ROLE_ARN", "arn:aws:iam::000000000001:role/x")]), None);
    }

    #[test]
    fn w6_a_token_file_that_is_missing_empty_or_a_folder_is_named_with_its_variable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("empty"), " \n").expect("written");
        std::fs::write(path("token"), "eyJ\n").expect("written");
        for (name, reason) in [("missing", "it cannot be read"), ("empty", "it is empty"), (".", "it cannot be read")] {
            let error = said(&[("AWS_WEB_IDENTITY_TOKEN_FILE", &path(name))]).expect("an error");
            assert!(error.starts_with("AWS_WEB_IDENTITY_TOKEN_FILE is ") && error.contains(reason), "{error}");
        }
        assert_eq!(said(&[("AWS_WEB_IDENTITY_TOKEN_FILE", &path("token"))]), None);
        let role = ("AWS_ROLE_ARN", "arn:aws:iam::000000000001:role/x");
        let empty = [role, ("AWS_WEB_IDENTITY_TOKEN_FILE", "")];
        let error = said(&empty).expect("an error");
        assert!(error.starts_with("AWS_WEB_IDENTITY_TOKEN_FILE is set and empty"), "{error}");
        let missing = path("missing");
        let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://x");
        let gone = [uri, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &missing)];
        let error = said(&gone).expect("an error");
        assert!(
            error.starts_with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is ") && error.contains("missing"),
            "{error}"
        );
        // Where keys are set, or nobody asks, nothing opens them.
        for sound in [&empty, &gone] {
            assert_eq!(said(&[&sound[..], &[("AWS_ACCESS_KEY_ID", "AKIA")]].concat()), None);
            assert_eq!(said(&sound[1..]), None);
        }
        assert!(
            said(&[("AWS_EXECUTION_ENV", "a\nb")]).is_some_and(|error| error.starts_with("AWS_EXECUTION_ENV has "))
        );
    }
}
