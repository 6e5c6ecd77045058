//! What is there: objects, and uploads that nobody finished.

use super::S3;
use super::delete::is_emptied;
use super::error::from_sdk;
use crate::SinkError;
use crate::store::{Listed, Unfinished, Version};
use aws_sdk_s3::types::Object;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashSet;
use std::hash::Hash;

/// An upload in parts that began so long ago is nobody's any more: a night's largest file is sent in minutes.
const ABANDONED_AFTER: TimeDelta = TimeDelta::hours(24);

impl S3 {
    /// The objects below a prefix whose keys come after another, sorted by key.
    pub(super) async fn objects(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, SinkError> {
        self.some_objects(prefix, after, None).await
    }

    /// The first object below a prefix.
    pub(super) async fn first_object(&self, prefix: &str) -> Result<Option<Listed>, SinkError> {
        Ok(self.some_objects(prefix, "", Some(1)).await?.into_iter().next())
    }

    /// All objects, or so many of the first.
    async fn some_objects(&self, prefix: &str, after: &str, most: Option<i32>) -> Result<Vec<Listed>, SinkError> {
        let mut objects = Vec::new();
        let mut tokens = Tokens::default();
        let start_after = (!after.is_empty()).then(|| self.full(after));
        loop {
            let request = self.client.list_objects_v2().bucket(&self.location.bucket).prefix(self.full(prefix));
            let request = request
                .set_start_after(start_after.clone())
                .set_continuation_token(tokens.last.clone())
                .set_max_keys(most)
                .set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
            let send = |whole| request.clone().customize().interceptor(whole).send();
            let page = self.whole(|| self.doing("list", prefix), send).await?;
            // An answer that is not understood would be a lake that has fewer days.
            let failed = |what: &str| self.doing("list", prefix).failed(&what);
            if page.key_count().is_some_and(|count| usize::try_from(count) != Ok(page.contents().len())) {
                return Err(failed("the list has not as many objects as it says"));
            }
            for object in page.contents() {
                objects.extend(self.listed(object).map_err(failed)?);
            }
            if most.is_some() {
                break;
            }
            let next = page.next_continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
            match tokens.go_on(page.is_truncated(), next) {
                Ok(true) => {}
                Ok(false) => break,
                Err(what) => return Err(failed(what)),
            }
        }
        // A store that ignores start-after gives more than was asked for.
        objects.retain(|object: &Listed| object.key.as_str() > after);
        objects.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(objects)
    }

    fn listed(&self, object: &Object) -> Result<Option<Listed>, &'static str> {
        let key = object.key().ok_or("an object of the list has no key")?;
        let Some(key) = self.below(key) else { return Ok(None) };
        let bytes =
            object.size().and_then(|bytes| u64::try_from(bytes).ok()).ok_or("an object of the list has no size")?;
        let modified = moment(object.last_modified());
        let version = object.e_tag().map(|tag| Version(tag.to_owned()));
        Ok((!is_emptied(&key, bytes)).then_some(Listed { key, bytes, modified, version }))
    }

    /// Uploads in parts that were begun long ago and are neither complete nor given up.
    pub(super) async fn uploads(&self) -> Result<Vec<Unfinished>, SinkError> {
        let mut uploads = Vec::new();
        let mut tokens = Tokens::default();
        loop {
            let (after_key, after_id) = tokens.last.take().unzip();
            let request = self.client.list_multipart_uploads().bucket(&self.location.bucket).prefix(self.full(""));
            let request = request
                .set_key_marker(after_key)
                .set_upload_id_marker(after_id.flatten())
                .set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
            let send = |whole| request.clone().customize().interceptor(whole).send();
            let page = self.whole(|| self.doing("list uploads to", ""), send).await?;
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                let Some(name) = self.below(key) else { continue };
                uploads.push(Unfinished { name, id: id.to_owned(), since: moment(upload.initiated()) });
            }
            let next = page.next_key_marker().filter(|key| !key.is_empty());
            let next = next.map(|key| (key.to_owned(), page.next_upload_id_marker().map(str::to_owned)));
            match tokens.go_on(page.is_truncated(), next) {
                Ok(true) => {}
                Ok(false) => break,
                Err(what) => return Err(self.doing("list uploads to", "").failed(&what)),
            }
        }
        uploads.retain(|upload| Utc::now() - upload.since > ABANDONED_AFTER);
        Ok(uploads)
    }

    /// Gives an upload up.
    pub(super) async fn abort(&self, upload: &Unfinished) -> Result<(), SinkError> {
        let request = self.client.abort_multipart_upload().bucket(&self.location.bucket).key(self.full(&upload.name));
        let request =
            request.upload_id(&upload.id).set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
        match request.send().await {
            Err(error) if !error.as_service_error().is_some_and(|error| error.is_no_such_upload()) => {
                Err(from_sdk(&error, self.doing("abort the upload of", &upload.name)))
            }
            _ => Ok(()),
        }
    }
}

/// The tokens of a paged list. One that comes twice would be followed without end.
struct Tokens<T> {
    seen: HashSet<T>,
    last: Option<T>,
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self { seen: HashSet::new(), last: None }
    }
}

impl<T: Clone + Eq + Hash> Tokens<T> {
    /// Whether there is another page, whose token is then the last. A page that has a token and does not say whether the list
    /// goes on is not the last one.
    fn go_on(&mut self, is_truncated: Option<bool>, next: Option<T>) -> Result<bool, &'static str> {
        self.last = match (is_truncated, next) {
            (Some(false), _) => return Ok(false),
            (None, None) => return Err("the list does not say whether it goes on"),
            (Some(true), None) => return Err("the list is cut and does not say how to go on"),
            (_, Some(next)) => Some(next),
        };
        let is_new = self.last.clone().is_some_and(|next| self.seen.insert(next));
        if is_new { Ok(true) } else { Err("the list gives the same continuation token again, so it has no end") }
    }
}

pub(super) fn moment(time: Option<&aws_sdk_s3::primitives::DateTime>) -> DateTime<Utc> {
    time.and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos())).unwrap_or_default()
}
