//! Whether an answer in XML came whole. The SDK takes one that breaks off for one that has less in it: a list that is cut would be
//! a lake that has fewer days.

use super::S3;
use super::error::{Doing, from_sdk, status_of};
use super::read::BODY_ATTEMPTS;
use crate::SinkError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Notes whether the body of the last answer is whole. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct WholeBody(Arc<AtomicBool>);

impl Intercept for WholeBody {
    fn name(&self) -> &'static str {
        "WholeBody"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(context.response().body().bytes().is_some_and(is_whole), Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a document ends with the end of its first element.
pub(super) fn is_whole(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let Some(start) = text.match_indices('<').find(|(at, _)| text[at + 1..].starts_with(char::is_alphabetic)) else {
        return false;
    };
    let root = &text[start.0 + 1..];
    let name = root.split(|letter: char| letter.is_whitespace() || "/>".contains(letter)).next().unwrap_or_default();
    let is_empty = root.ends_with("/>") && !root.contains('<');
    is_empty || text.strip_suffix('>').is_some_and(|text| text.trim_end().ends_with(&format!("</{name}")))
}

impl S3 {
    /// Asks until the answer comes whole.
    pub(super) async fn whole<T, E, F>(
        &self,
        doing: impl Fn() -> Doing,
        send: impl Fn(WholeBody) -> F,
    ) -> Result<T, SinkError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + 'static,
    {
        for attempt in 1..=BODY_ATTEMPTS {
            let whole = WholeBody::default();
            match send(whole.clone()).await {
                Ok(answer) if whole.0.load(Ordering::Relaxed) => return Ok(answer),
                // What the SDK cannot read at all is cut as well.
                // What cannot be read although it is whole is another's answer.
                Err(error) if status_of(&error) != Some(200) || whole.0.load(Ordering::Relaxed) => {
                    return Err(from_sdk(&error, doing()));
                }
                _ => tracing::debug!(attempt, "an answer broke off, asking again"),
            }
        }
        Err(doing().failed(&"the answer, HTTP 200, breaks off each time that it is asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_document_is_whole_with_its_last_letter_and_not_before() {
        for whole in [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3\"><Key>a&lt;b</Key></ListBucketResult>",
            "<ListBucketResult></ListBucketResult>\n",
            "<DeleteResult/>",
            "<DeleteResult xmlns=\"x/y\" />",
        ] {
            assert!(is_whole(whole.as_bytes()), "{whole}");
            let end = whole.trim_end().len();
            assert!((0..end).all(|end| !is_whole(&whole.as_bytes()[..end])), "{whole}");
        }
        for other in ["", "<", ">", "< >", "no XML", "</a>", "\u{e4}<\u{e4}"] {
            assert!(!is_whole(other.as_bytes()), "{other}");
        }
        assert!(!is_whole(b"\xff<\xff>"));
    }
}
