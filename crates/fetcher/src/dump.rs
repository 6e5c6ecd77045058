//! Pages that were stored as files: by Compline, by the AWS CLI, or by a script.
//!
//! A file is one JSON document or several, one after the other: an answer of
//! `describe-aggregate-compliance-by-conformance-packs` or of `describe-aggregate-compliance-by-config-rules`, a list of answers, an
//! item of one, a list of items, or a line of Compline's own archive. gzip and zstd are undone. Everything is parsed as strictly as an answer that has just come.
//!
//! Nothing in two pages says that they are of one list. So a file must be whole by itself, its last page without a
//! `NextToken`, unless whoever gives the files says that they are the pages of one list.

mod document;
mod pages;

use crate::lines::{ArchiveHead, Head, PageHead, Request, VERSION};
use crate::wire::{BodyError, Object, RawAnswer, RawPack, RawRule, excerpt, packs_of, rules_of};
use bytes::{Buf, Bytes};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Answers, Dataset, Page, RunId, SnapshotDate, SourceAnswer};
use document::{Documents, RawDocument, Text, text_of};
pub use pages::FilesAre;
use pages::{OneList, Pages};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A file that cannot be taken: which, where in it, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {file}{}{}: {reason}", if *document == 0 { String::new() } else { format!(", document {document} (line {line})") }, if field.is_empty() { String::new() } else { format!(", {field}") })]
pub struct DumpError {
    file: String,
    document: u64,
    line: u64,
    field: String,
    reason: String,
}

/// What a file has.
#[derive(Debug)]
pub enum Dumped {
    /// What an archive says of itself, before anything else of it.
    Archive(Archive),
    /// A page of sources, of an archive.
    Sources(SourcesPage),
    /// A page of a dataset.
    Page(Page),
}

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The aggregator that was asked.
    pub aggregator: AggregatorId,
    /// The day.
    pub snapshot_date: SnapshotDate,
    /// The run that collected it.
    pub run_id: RunId,
    /// What was collected.
    pub dataset: &'static Dataset,
    pub(crate) fan_out: String,
    pub(crate) shards: usize,
    pub(crate) requests: Vec<Request>,
    pub(crate) unnamed: Vec<String>,
}

/// A page of `DescribeConfigurationAggregatorSourcesStatus`.
#[derive(Debug)]
pub struct SourcesPage {
    /// When it arrived.
    pub collected_at: DateTime<Utc>,
    /// The run that collected it.
    pub run_id: RunId,
    /// What it says.
    pub statuses: Vec<SourceAnswer>,
}

/// Files, read one after the other.
pub struct Dump {
    files: VecDeque<PathBuf>,
    file: Option<FileReader>,
    run_id: RunId,
    /// The pages of all files, where they are those of one list.
    one_list: Option<OneList>,
}

impl Dump {
    /// Files to read; `-` is stdin. Pages that do not say which run collected them get `run_id`.
    pub fn new(files: Vec<PathBuf>, files_are: FilesAre, run_id: RunId) -> Self {
        let one_list = (files_are == FilesAre::PagesOfOneList).then(OneList::default);
        Self { files: files.into(), file: None, run_id, one_list }
    }

    /// What comes next, or nothing after the last file, if all of them are whole.
    ///
    /// # Errors
    /// A file that cannot be read, is not what it should be, or is not whole: file, document, line and field.
    pub fn next_part(&mut self) -> Result<Option<Dumped>, DumpError> {
        loop {
            let Some(file) = &mut self.file else {
                let Some(path) = self.files.pop_front() else { return self.ended().map(|()| None) };
                let is_page = self.one_list.is_some();
                self.file = Some(FileReader { is_page, ..FileReader::open(&path, self.run_id)? });
                continue;
            };
            if let Some(dumped) = file.next_part()? {
                return Ok(Some(dumped));
            }
            if let Some(list) = &mut self.one_list {
                list.add(&file.name, &file.pages).map_err(|reason| file.error_of_file("NextToken", &reason))?;
            }
            self.file = None;
        }
    }

    /// Whether the last page of the one list was there.
    fn ended(&self) -> Result<(), DumpError> {
        let Some(file) = self.one_list.as_ref().and_then(OneList::without_end) else { return Ok(()) };
        let reason =
            "it names a next page, and none of the files is the last page: rows would be missing; give all pages";
        Err(DumpError::of_file(file, "NextToken", reason))
    }
}

impl DumpError {
    /// An error that is not of one place in the file.
    fn of_file(file: &str, field: &str, reason: &str) -> Self {
        Self { file: file.to_owned(), document: 0, line: 0, field: field.to_owned(), reason: reason.to_owned() }
    }
}

/// Reads the pages of a shard of a dataset, by its place in the plan, back from what [`crate::ShardReader::lines`] gave, and gives each of them.
/// `name` is the file's, for the error.
///
/// # Errors
/// Lines that are not those of the shard, or not whole: what pages were given before are not the shard's.
pub fn read_shard(
    name: &str,
    dataset: &'static Dataset,
    index: usize,
    lines: Bytes,
    mut each: impl FnMut(Page),
) -> Result<(), DumpError> {
    let mut file = FileReader::of_checkpoint(name, lines)?;
    let mut is_empty = true;
    while let Some(dumped) = file.next_part()? {
        match dumped {
            Dumped::Page(page) if page.answers.dataset() == dataset => each(page),
            _ => return Err(file.error("", &format!("unexpected page: not one of {}", dataset.name))),
        }
        is_empty = false;
    }
    file.is_of_shard(index + 1)?;
    if is_empty { Err(file.error("", "it has no page")) } else { Ok(()) }
}

/// One file being read.
pub(crate) struct FileReader {
    name: String,
    json: serde_json::Deserializer<serde_json::de::IoRead<Text>>,
    /// Lines read.
    line: Arc<AtomicU64>,
    documents: u64,
    waiting: VecDeque<Dumped>,
    run_id: RunId,
    /// Answers of AWS Config that stand by themselves.
    pages: Pages,
    /// Whether it is a part of a list, and not whole by itself.
    is_page: bool,
    /// How far the lines of each shard came.
    lines: BTreeMap<usize, ShardLines>,
    /// The shards that an archive must have.
    shards: Option<usize>,
    /// Whether it is a part of what may be an archive later.
    checkpoint: bool,
}

/// How far the pages of a shard came.
#[derive(Debug, Default)]
struct ShardLines {
    pages: u32,
    /// Whether the last page names a next one.
    open: bool,
}

impl FileReader {
    fn open(path: &PathBuf, run_id: RunId) -> Result<Self, DumpError> {
        let stdin = path.as_os_str() == "-";
        let name = if stdin { "stdin".to_owned() } else { path.display().to_string() };
        let failed = |error: io::Error| DumpError::of_file(&name, "", &error.to_string());
        let raw: Box<dyn BufRead + Send> = if stdin {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(failed)?))
        };
        let text = text_of(raw).map_err(failed)?;
        Ok(Self::of(name, text, run_id))
    }

    /// Whether every line was of one shard, 0 for the sources.
    pub(crate) fn is_of_shard(&self, shard: usize) -> Result<(), DumpError> {
        match self.lines.keys().find(|other| **other != shard) {
            Some(other) => {
                Err(self.error("compline.shard", &format!("it is of shard {other}, and not of shard {shard}")))
            }
            None => Ok(()),
        }
    }

    /// The lines of a checkpoint.
    pub(crate) fn of_checkpoint(name: &str, lines: Bytes) -> Result<Self, DumpError> {
        let failed = |error: io::Error| DumpError::of_file(name, "", &error.to_string());
        let text = text_of(Box::new(BufReader::new(lines.reader()))).map_err(failed)?;
        let reader = Self::of(name.to_owned(), text, RunId::new(DateTime::UNIX_EPOCH));
        Ok(Self { checkpoint: true, ..reader })
    }

    fn of(name: String, inner: Box<dyn BufRead + Send>, run_id: RunId) -> Self {
        let line = Arc::new(AtomicU64::new(1));
        let json = serde_json::Deserializer::from_reader(Text::of(inner, Arc::clone(&line)));
        Self {
            name,
            json,
            line,
            documents: 0,
            waiting: VecDeque::new(),
            run_id,
            pages: Pages::default(),
            is_page: false,
            lines: BTreeMap::new(),
            shards: None,
            checkpoint: false,
        }
    }

    /// What comes next, or nothing after the end of a whole file.
    pub(crate) fn next_part(&mut self) -> Result<Option<Dumped>, DumpError> {
        loop {
            if let Some(dumped) = self.waiting.pop_front() {
                return Ok(Some(dumped));
            }
            match self.json.end() {
                Ok(()) => return self.ended().map(|()| None),
                Err(error) if error.is_io() || error.is_eof() => return Err(self.error("", &cut_short(&error))),
                // Another document.
                Err(_) => self.documents += 1,
            }
            let documents = serde_path_to_error::deserialize(&mut self.json).map_err(|error| {
                let path = error.path().to_string();
                let inner = error.inner();
                let reason = if inner.is_io() || inner.is_eof() { cut_short(inner) } else { inner.to_string() };
                self.error(if path == "." { "" } else { &path }, &with_advice(&path, reason))
            })?;
            self.take_all(documents, "")?;
        }
    }

    /// Takes a document, or a list of them. `at` is where it is, for the error.
    fn take_all(&mut self, documents: Documents, at: &str) -> Result<(), DumpError> {
        match documents {
            Documents::One(document) => {
                self.take(*document, &if at.is_empty() { String::new() } else { format!("{at}.") })
            }
            Documents::List(list) => list
                .into_iter()
                .enumerate()
                .try_for_each(|(position, documents)| self.take_all(documents, &format!("{at}[{position}]"))),
        }
    }

    fn take(&mut self, document: RawDocument, at: &str) -> Result<(), DumpError> {
        match document {
            RawDocument { compline: Some(Object(Head::Archive(head))), .. } => self.take_archive(head),
            RawDocument { compline: Some(Object(Head::Page(head))), answer: Some(Object(answer)), .. } => {
                self.take_line(&head, answer)
            }
            RawDocument { compline: Some(_), .. } => Err(self.error("answer", "the value is missing")),
            RawDocument { packs: Some(list), next_token, .. } => {
                let packs = packs_of(list, at).map_err(|error| self.wrong(error))?;
                self.pages.push(next_token);
                self.push(None, self.run_id, Answers::Packs(packs));
                Ok(())
            }
            RawDocument { rules: Some(list), next_token, .. } => {
                let rules = rules_of(list, at).map_err(|error| self.wrong(error))?;
                self.pages.push(next_token);
                self.push(None, self.run_id, Answers::Rules(rules));
                Ok(())
            }
            RawDocument { config_rule_name: config_rule_name @ Some(_), account_id, aws_region, compliance, .. } => {
                self.is_item(at)?;
                let rule = RawRule { config_rule_name, account_id, aws_region, compliance };
                let rule = rule.checked(|| at.to_owned()).map_err(|error| self.wrong(error))?;
                self.push(None, self.run_id, Answers::Rules(vec![rule]));
                Ok(())
            }
            RawDocument { conformance_pack_name, account_id, aws_region, compliance, .. }
                if account_id.is_some() || conformance_pack_name.is_some() =>
            {
                self.is_item(at)?;
                let pack = RawPack { conformance_pack_name, account_id, aws_region, compliance };
                let pack = pack.checked(|| at.to_owned()).map_err(|error| self.wrong(error))?;
                self.push(None, self.run_id, Answers::Packs(vec![pack]));
                Ok(())
            }
            RawDocument { value: Some(documents), count, .. } => {
                let length = match &documents {
                    Documents::One(_) => 1,
                    Documents::List(list) => list.len() as u64,
                };
                if count.is_some_and(|count| count != length) {
                    return Err(self.error(&format!("{at}Count"), &format!("{length} items are there")));
                }
                self.take_all(documents, &format!("{at}value"))
            }
            _ => Err(self.error(
                &format!("{at}{} or {}", crate::wire::PACKS, crate::wire::RULES),
                "the list is missing; this is no answer of describe-aggregate-compliance-by-conformance-packs or -by-config-rules",
            )),
        }
    }

    /// Whether an item may be in this file.
    fn is_item(&self, at: &str) -> Result<(), DumpError> {
        let reason = "an item is no page of a list; give items without --pages";
        if self.is_page { Err(self.error(at.trim_end_matches('.'), reason)) } else { Ok(()) }
    }

    fn take_archive(&mut self, head: ArchiveHead) -> Result<(), DumpError> {
        if self.is_page {
            return Err(self.error("compline", "an archive is a whole day: give it alone, without --pages"));
        }
        if head.version > VERSION {
            return Err(self.error("compline.version", "the archive is of a newer compline: import it with that one"));
        }
        let archive = Archive {
            aggregator: head
                .aggregator
                .parse()
                .map_err(|_| self.error("compline.aggregator", "invalid aggregator id"))?,
            snapshot_date: head
                .snapshot_date
                .parse()
                .map_err(|_| self.error("compline.snapshot_date", "invalid date"))?,
            run_id: self.parsed_run_id(&head.run_id)?,
            dataset: match head.dataset.as_deref() {
                None => &Dataset::PACKS,
                Some(name) => Dataset::named(name).ok_or_else(|| self.error("compline.dataset", "unknown value"))?,
            },
            fan_out: head.fan_out,
            shards: head.shards,
            requests: head.requests,
            unnamed: head.unnamed,
        };
        self.shards = Some(archive.shards);
        self.waiting.push_back(Dumped::Archive(archive));
        Ok(())
    }

    /// Takes a line of an archive or a checkpoint: each shard's pages one after the other, none left out.
    fn take_line(&mut self, head: &PageHead, answer: RawAnswer) -> Result<(), DumpError> {
        if self.shards.is_none() && !self.checkpoint {
            let reason = "the first line of the archive, which says of what it is, is not there: nobody knows whether the rest is whole";
            return Err(self.error("compline", reason));
        }
        let collected_at = DateTime::parse_from_rfc3339(&head.collected_at)
            .map_err(|_| self.error("compline.collected_at", "invalid time"))?
            .to_utc();
        let run_id = self.parsed_run_id(&head.run_id)?;
        let lines = self.lines.entry(head.shard).or_default();
        let follows = lines.pages.checked_add(1) == Some(head.page) && (lines.pages == 0 || lines.open);
        lines.pages = head.page;
        let next_token = match head.operation.as_str() {
            crate::client::PACKS => {
                let page = answer.packs().map_err(|error| self.wrong(error))?;
                self.push(Some(collected_at), run_id, Answers::Packs(page.items));
                page.next_token
            }
            crate::client::RULES => {
                let page = answer.rules().map_err(|error| self.wrong(error))?;
                self.push(Some(collected_at), run_id, Answers::Rules(page.items));
                page.next_token
            }
            crate::client::SOURCES => {
                let page = answer.sources().map_err(|error| self.wrong(error))?;
                self.waiting.push_back(Dumped::Sources(SourcesPage { collected_at, run_id, statuses: page.items }));
                page.next_token
            }
            _ => return Err(self.error("compline.operation", "unknown value: pages of it are in no archive")),
        };
        self.lines.entry(head.shard).or_default().open = next_token.is_some_and(|token| !token.is_empty());
        if follows { Ok(()) } else { Err(self.error("compline.page", "it does not follow the page before")) }
    }

    fn push(&mut self, collected_at: Option<DateTime<Utc>>, run_id: RunId, answers: Answers) {
        self.waiting.push_back(Dumped::Page(Page { collected_at, run_id, answers }));
    }

    fn parsed_run_id(&self, text: &str) -> Result<RunId, DumpError> {
        text.parse().map_err(|_| self.error("compline.run_id", "invalid run id"))
    }

    /// Whether the file is whole.
    fn ended(&mut self) -> Result<(), DumpError> {
        if self.documents == 0 {
            return Err(self.error("", "it is empty"));
        }
        if let Some(shards) = self.shards.filter(|_| !self.checkpoint) {
            let lacking = (0..=shards).find(|shard| !self.lines.contains_key(shard));
            if let Some(shard) = lacking {
                return Err(self.error("", &format!("it is cut short: of {shards} shards, shard {shard} is not there")));
            }
        }
        if let Some((shard, _)) = self.lines.iter().find(|(_, lines)| lines.open) {
            let of_shard = if *shard > 0 { format!(" of shard {shard}") } else { String::new() };
            let reason =
                format!("it is cut short: the last page{of_shard} names a next one, and rows would be missing");
            return Err(self.error("NextToken", &reason));
        }
        match self.pages.lack() {
            Some(reason) if !self.is_page => Err(self.error_of_file("NextToken", reason)),
            _ => Ok(()),
        }
    }

    fn error_of_file(&self, field: &str, reason: &str) -> DumpError {
        DumpError::of_file(&self.name, field, reason)
    }

    fn wrong(&self, error: BodyError) -> DumpError {
        self.error(&error.field, &error.reason)
    }

    pub(crate) fn error(&self, field: &str, reason: &str) -> DumpError {
        DumpError {
            file: self.name.clone(),
            document: self.documents,
            line: self.line.load(Relaxed),
            field: excerpt(field),
            reason: excerpt(reason),
        }
    }
}

/// What went wrong, and what to do about it where a tool is known to write it so.
fn with_advice(path: &str, reason: String) -> String {
    let field = path.rsplit('.').next().unwrap_or_default();
    if field == "ComplianceType" && reason.starts_with("invalid type: map") {
        return format!("{reason}; AWS Tools for PowerShell write it so: take the output of the AWS CLI");
    }
    if field == "Compliance" && reason.starts_with("invalid type: string") {
        return format!("{reason}; ConvertTo-Json of PowerShell cuts it off: give it -Depth 10");
    }
    reason
}

fn cut_short(error: &serde_json::Error) -> String {
    format!("the file is cut short or damaged: {error}")
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
