//! A request as AWS JSON 1.1 has it, and the errors it can get.

use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};

/// An error answer: its code, HTTP status and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: 400, message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn body(&self, code_in_header: bool) -> Value {
        if code_in_header {
            json!({ "message": self.message })
        } else {
            json!({ "__type": self.code, "message": self.message })
        }
    }
}

/// The operation that a request names: `StarlingDoveService.<operation>`.
pub(crate) fn operation(headers: &HeaderMap) -> Result<&str, ApiError> {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    target
        .strip_prefix("StarlingDoveService.")
        .ok_or_else(|| ApiError::new("UnknownOperationException", "no such operation"))
}

/// The key that a request was signed with, and the region it was signed for.
pub(crate) fn signed_for(headers: &HeaderMap) -> Result<(&str, &str), ApiError> {
    let missing = || ApiError::new("MissingAuthenticationTokenException", "Missing Authentication Token");
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    // Credential=<key>/<date>/<region>/config/aws4_request
    let scope = authorization.split("Credential=").nth(1).ok_or_else(missing)?;
    let mut parts = scope.split('/');
    parts.next().zip(parts.nth(1)).ok_or_else(missing)
}

/// The fields of a request.
pub(crate) struct Fields(Value);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let wrong = |_| ApiError::new("SerializationException", "the request is not JSON");
        let value: Value = serde_json::from_slice(if body.is_empty() { b"{}" } else { body }).map_err(wrong)?;
        if value.is_object() {
            Ok(Self(value))
        } else {
            Err(ApiError::new("SerializationException", "the request is no object"))
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The fields of an inner object; none if it is absent.
    pub(crate) fn inner(&self, name: &str) -> Result<Self, ApiError> {
        match self.value(name) {
            None => Ok(Self(json!({}))),
            Some(value) if value.is_object() => Ok(Self(value.clone())),
            Some(_) => Err(ApiError::new("SerializationException", format!("{name} is not an object"))),
        }
    }

    /// A text that fits; nothing if it is absent.
    pub(crate) fn text(&self, name: &str, fits: impl Fn(&str) -> bool) -> Result<Option<String>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.as_str() {
            Some(text) if fits(text) => Ok(Some(text.to_owned())),
            Some(text) => {
                let text: String = text.chars().take(80).collect();
                Err(ApiError::validation(format!(
                    "1 validation error detected: Value '{text}' at '{name}' failed to satisfy constraint"
                )))
            }
            None => Err(ApiError::new("SerializationException", format!("{name} is not a string"))),
        }
    }

    /// How many rows a page may have, at most `max`, which absent and 0 mean too.
    pub(crate) fn limit(&self, max: usize) -> Result<usize, ApiError> {
        match self.value("Limit").map(Value::as_i64) {
            None | Some(Some(0)) => Ok(max),
            Some(Some(limit)) => usize::try_from(limit).ok().filter(|limit| *limit <= max).ok_or_else(|| {
                let message = format!("The specified limit {limit} is outside the allowable range 0 to {max}.");
                ApiError::new("InvalidLimitException", message)
            }),
            Some(None) => Err(ApiError::new("SerializationException", "Limit is not an integer of 64 bits")),
        }
    }

    /// The page token; absent and empty are the first page.
    pub(crate) fn token(&self) -> Result<Option<String>, ApiError> {
        Ok(self.text("NextToken", |_| true)?.filter(|token| !token.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::parse(value.to_string().as_bytes()).expect("fields")
    }

    #[test]
    fn a_limit_is_an_integer_from_0_to_the_maximum() {
        let limit = |value: Value| fields(json!({ "Limit": value })).limit(100).map_err(|error| error.code);
        for (value, expected) in [
            (Value::Null, Ok(100)),
            (json!(0), Ok(100)),
            (json!(1), Ok(1)),
            (json!(100), Ok(100)),
            (json!(101), Err("InvalidLimitException")),
            (json!(-1), Err("InvalidLimitException")),
            (json!(i64::MAX), Err("InvalidLimitException")),
            (json!(u64::MAX), Err("SerializationException")),
            (json!(1.5), Err("SerializationException")),
            (json!("1"), Err("SerializationException")),
        ] {
            assert_eq!(limit(value.clone()), expected, "{value}");
        }
        assert_eq!(fields(json!({})).limit(1_000), Ok(1_000));
    }

    #[test]
    fn a_field_of_another_type_is_refused_and_not_ignored() {
        let refused = |error: ApiError| error.code;
        for value in [json!(1), json!("text"), json!([]), json!(true)] {
            assert_eq!(
                fields(json!({ "Filters": value })).inner("Filters").map(|_| ()).map_err(refused),
                Err("SerializationException")
            );
        }
        for value in [json!(1), json!({}), json!(["token"]), json!(false)] {
            assert_eq!(fields(json!({ "NextToken": value })).token().map_err(refused), Err("SerializationException"));
        }
        for none in [json!({}), json!({ "NextToken": null }), json!({ "NextToken": "" })] {
            assert_eq!(fields(none).token(), Ok(None));
        }
        assert_eq!(fields(json!({ "NextToken": " " })).token(), Ok(Some(" ".to_owned())));
    }
}
