//! What went wrong while asking AWS Config, said so that an operator can act on it at night.

use crate::accounts::ACCOUNTS;
use crate::recorder::{Answer, Tried};
use crate::wire::{BodyError, excerpt};
use aws_sdk_config::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_config::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use compline_aws::{credentials_hint, limit_hint, start_of};
use compline_model::causes;
use std::error::Error;
use std::fmt;

/// What an error says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchErrorKind {
    /// It may work later: the SDK has tried as often as it may.
    Transient,
    /// It will not work until something is changed.
    Permanent,
}

/// A call to AWS Config that failed for good, with everything an operator needs to find out why.
#[derive(Debug, Clone)]
pub struct FetchError {
    /// Whether to try again later.
    pub kind: FetchErrorKind,
    /// Operation, aggregator, shard and page.
    pub(crate) doing: String,
    /// What happened.
    pub(crate) cause: Box<Cause>,
}

#[derive(Debug, Clone)]
pub(crate) enum Cause {
    Service {
        code: String,
        message: String,
        request_id: String,
        hint: Option<String>,
    },
    /// An answer that is not what it must be.
    Body {
        error: BodyError,
        answer: Answer,
    },
    NotSent {
        reason: String,
        hint: &'static str,
    },
    TimedOut {
        reason: String,
        tried: Tried,
    },
    RepeatedToken,
    RefusedTooOften,
    NotRecorded(String),
    NoSources,
    /// Names that no request can be made for.
    UnknownNames {
        what: &'static str,
        names: Vec<String>,
        count: usize,
    },
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.doing)?;
        match &*self.cause {
            Cause::Service { code, message, request_id, hint } => {
                write!(f, "{code}: {message} (request id {request_id})")?;
                hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            Cause::Body { error, answer } => {
                let field = if error.field.is_empty() { "the answer" } else { &error.field };
                let Answer { status, location, body, .. } = answer;
                write!(f, "HTTP {status}")?;
                if let Some(location) = location {
                    write!(f, " to {}", excerpt(location))?;
                }
                let start = excerpt(&String::from_utf8_lossy(&body[..body.len().min(800)]));
                // One that is in trouble says no more than its status; a page is a proxy's, whatever the status.
                let hint = match status {
                    429 => THROTTLED,
                    500.. if !start.starts_with('<') => IN_TROUBLE,
                    _ if error.is_cut => "is a proxy in between that cuts it?",
                    _ => NOT_AWS_CONFIG,
                };
                if error.is_cut {
                    let start = if body.is_empty() { start } else { format!("; the answer starts: {start}") };
                    let reason = &error.reason;
                    return write!(f, ": the answer breaks off each time that it is asked for: {reason}{start}; {hint}");
                }
                if body.is_empty() {
                    return write!(f, ": the answer is empty; {hint}");
                }
                write!(f, ": {field} cannot be read: {}; the answer starts: {start}", error.reason)?;
                if *status != 200 || start.starts_with('<') { write!(f, "; {hint}") } else { Ok(()) }
            }
            Cause::NotSent { reason, hint } => write!(f, "{reason}; {hint}"),
            Cause::TimedOut { reason, tried } => {
                let Tried { throttles, status, said, request_id, failed, .. } = tried;
                write!(f, "{reason}")?;
                if *throttles > 0 {
                    let times = if *throttles == 1 { "once".to_owned() } else { format!("{throttles} times") };
                    let said = excerpt(&String::from_utf8_lossy(said));
                    let id = request_id.as_deref().map_or("none".to_owned(), excerpt);
                    write!(f, "; throttled {times}, at last with HTTP {status}: {said} (request id {id})")?;
                }
                if let Some(failed) = failed.as_ref().filter(|failed| !reason.contains(failed.as_str())) {
                    write!(f, "; the last failure before: {}", excerpt(failed))?;
                }
                let hint = match failed {
                    Some(failed) if failed.starts_with("HTTP 5") => IN_TROUBLE,
                    Some(failed) => known_hint(failed).unwrap_or(NO_ANSWER),
                    None if *throttles > 0 => THROTTLED_TOO_LONG,
                    None => NO_ANSWER,
                };
                write!(f, "; {hint}")
            }
            Cause::RepeatedToken => f.write_str(
                "AWS Config gave the same page token twice, so rows would be lost or doubled; run again, and tell AWS support if it stays",
            ),
            Cause::RefusedTooOften => f.write_str(
                "AWS Config refused its own page token twice, also after each of 20 restarts of the list; run again, with a larger fetch.page_size or a finer fan_out so that lists have fewer pages",
            ),
            Cause::NotRecorded(reason) => write!(f, "the page cannot be compressed: {reason}"),
            Cause::UnknownNames { what, names, count } => {
                let more = count.saturating_sub(names.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                write!(
                    f,
                    "AWS Config names {}{more}, which is not the name of an {}{what}, so no shard can ask for it and its packs \
                     would be missing; set fan_out = \"none\" or \"auto\", or list each {what} in a filter",
                    names.join(", "),
                    if *what == "region" { "AWS " } else { "" },
                )
            }
            Cause::NoSources => f.write_str(
                "the aggregator names no source accounts or regions to split by; set fan_out = \"none\", or list them in a filter",
            ),
        }
    }
}

impl Error for FetchError {}

impl FetchError {
    /// Whether there were no credentials to ask with, so that every other call would fail as well.
    pub fn is_of_credentials(&self) -> bool {
        matches!(&*self.cause, Cause::NotSent { reason, .. } if is_of_credentials(reason))
    }

    /// Whether the key was not known where it was used, or its region is off for the account: AWS says the same of both.
    pub(crate) fn is_of_unknown_key(&self) -> bool {
        let says = |text: &str| {
            ["InvalidClientTokenId", "UnrecognizedClient", "RegionDisabled"].iter().any(|code| text.contains(code))
        };
        match &*self.cause {
            Cause::Service { code, .. } => says(code),
            Cause::NotSent { reason, .. } => says(reason),
            _ => false,
        }
    }

    /// The same error, of a region that is off: the key is known elsewhere.
    pub(crate) fn of_region(mut self) -> Self {
        match &mut *self.cause {
            Cause::Service { hint, .. } => *hint = Some(REGION_IS_OFF.to_owned()),
            Cause::NotSent { hint, .. } => *hint = REGION_IS_OFF,
            _ => {}
        }
        self
    }

    /// Whether the aggregator's region is off for the account, as far as that was asked.
    pub fn is_of_region(&self) -> bool {
        match &*self.cause {
            Cause::Service { hint, .. } => hint.as_deref() == Some(REGION_IS_OFF),
            Cause::NotSent { hint, .. } => *hint == REGION_IS_OFF,
            _ => false,
        }
    }

    /// Whether AWS refuses this operation to this identity, whatever else it may do.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(&*self.cause, Cause::Service { code, .. } if code.starts_with("AccessDenied"))
    }

    /// That of an answer that is not what it must be. One of a server that is in trouble may be right later.
    pub(crate) fn of_body(doing: String, error: BodyError, answer: &Answer) -> Self {
        let cause = Cause::Body { error, answer: answer.clone() };
        if answer.status >= 500 { Self::transient(doing, cause) } else { Self::permanent(doing, cause) }
    }

    pub(crate) fn permanent(doing: String, cause: Cause) -> Self {
        Self { kind: FetchErrorKind::Permanent, doing, cause: Box::new(cause) }
    }

    pub(crate) fn transient(doing: String, cause: Cause) -> Self {
        Self { kind: FetchErrorKind::Transient, doing, cause: Box::new(cause) }
    }
}

const NOT_AWS_CONFIG: &str = "this is not AWS Config: AWS_ENDPOINT_URL moves every service, AWS_ENDPOINT_URL_S3 or \
    lake.endpoint_url moves S3 alone; or a proxy answers in its place";

const REGION_IS_OFF: &str = "the same credentials are good in another region of the AWS partition, so this one is switched off for the \
    account: switch it on (Account settings, AWS Regions), or is the aggregator in another?";
const THROTTLED: &str = "others use this account's limit too: run again later";
const THROTTLED_TOO_LONG: &str =
    "others use this account's limit too: run again later; a run waits for fetch.operation_timeout_secs";
const NO_ANSWER: &str =
    "see fetch.operation_timeout_secs and fetch.attempt_timeout_secs, and whether the endpoint answers";
const SLOW_CREDENTIALS: &str = "nothing was sent: does what the profile gets its credentials from (a process, SSO, STS, instance metadata) answer in time?";
const IN_TROUBLE: &str = "AWS Config, or a proxy before it, is in trouble: run again later";

/// What the hint needs to know of the call.
pub(crate) struct CallContext<'a> {
    pub(crate) operation: &'static str,
    pub(crate) region: &'a str,
}

/// The error of an SDK call, whose last answer this is. `body_error` is what the strict parser says of it.
pub(crate) fn from_sdk<E>(
    error: &SdkError<E, HttpResponse>,
    doing: String,
    context: &CallContext<'_>,
    (body_error, answer): (Option<BodyError>, &Answer),
) -> FetchError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().map_or_else(|| format!("HTTP {status}"), excerpt);
            let transient = status >= 500 || code.contains("Throttl");
            let hint = hint(&code, context, service.raw());
            let cause = Cause::Service {
                message: service.err().message().map_or_else(|| start_of(service.raw().body().bytes()), excerpt),
                request_id: error.request_id().unwrap_or("none").to_owned(),
                code,
                hint,
            };
            if transient { FetchError::transient(doing, cause) } else { FetchError::permanent(doing, cause) }
        }
        SdkError::ResponseError(response) => {
            // One that was read to its end is retained, and one that breaks off is not, however long it should be.
            let body = response.raw().body().bytes().map(Bytes::copy_from_slice);
            let is_cut = body.is_none();
            let body = body.unwrap_or_default();
            let answer = Answer { status: response.raw().status().as_u16(), body, ..answer.clone() };
            let reason = causes(error);
            let unread = |reason| BodyError { field: String::new(), reason, is_cut };
            let error = match body_error.filter(|_| !is_cut) {
                Some(error) => error,
                None => unread(reason),
            };
            FetchError::of_body(doing, error, &answer)
        }
        SdkError::TimeoutError(_) if answer.tried.attempts > 0 && !answer.is_sent => {
            let reason = format!("no credentials came: {}", causes(error));
            FetchError::transient(doing, Cause::NotSent { reason, hint: SLOW_CREDENTIALS })
        }
        SdkError::TimeoutError(_) => {
            let (reason, tried) = (causes(error), answer.tried.clone());
            FetchError::transient(doing, Cause::TimedOut { reason, tried })
        }
        other => {
            let reason = causes(other);
            FetchError::transient(doing, Cause::NotSent { hint: connection_hint(&reason), reason })
        }
    }
}

/// What to do about an error whose cause is known.
fn hint(code: &str, context: &CallContext<'_>, response: &HttpResponse) -> Option<String> {
    let operation = context.operation;
    Some(match code {
        "AccessDeniedException" | "AccessDenied" if operation == "GetCallerIdentity" => {
            "it needs no right of its own: does a policy of a VPC endpoint or of the organization deny it?".to_owned()
        }
        "AccessDeniedException" | "AccessDenied" | "AWSOrganizationsNotInUseException" if operation == ACCOUNTS => {
            format!(
                "allow organizations:{operation} to this identity, which must be of the organization's management account or of a \
                 delegated administrator; or take the names from a CSV file"
            )
        }
        "AccessDeniedException" | "AccessDenied" => format!("allow config:{operation} to this identity"),
        "NoSuchConfigurationAggregatorException" => {
            format!("is the aggregator's name right, and is it in {}? aggregators exist in one region", context.region)
        }
        "ThrottlingException" => THROTTLED.to_owned(),
        "ExpiredTokenException" | "ExpiredToken" => "the credentials have ended: sign in again".to_owned(),
        "UnrecognizedClientException" | "InvalidClientTokenId" => {
            "the credentials are not known here: are they of this AWS partition, and is the region, if it is an opt-in one, switched on \
             for the account?"
                .to_owned()
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired" => {
            "is this machine's clock right?".to_owned()
        }
        // What AWS Config never answers, and STS always.
        _ if ![ACCOUNTS, "GetCallerIdentity"].contains(&operation)
            && response
                .headers()
                .get("content-type")
                .is_some_and(|kind| kind.contains("xml") || kind.contains("html")) =>
        {
            NOT_AWS_CONFIG.to_owned()
        }
        _ if response.status().is_server_error() => IN_TROUBLE.to_owned(),
        _ => return None,
    })
}

const REACH_AWS: &str = "is the network up, the region right, and HTTPS_PROXY set if this machine needs it?";

/// Whether there was nothing to ask with, as the SDK says it.
fn is_of_credentials(reason: &str) -> bool {
    reason.to_lowercase().contains("credential")
}

fn connection_hint(reason: &str) -> &'static str {
    known_hint(reason).unwrap_or(REACH_AWS)
}

/// What to do about a call that was not sent or not answered, where its reason says it.
fn known_hint(reason: &str) -> Option<&'static str> {
    limit_hint(reason).or_else(|| match is_of_credentials(reason) {
        true => Some(credentials_hint(reason)),
        false => compline_aws::connection_hint(reason),
    })
}
