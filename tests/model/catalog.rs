//! The Glue catalog, on a server that nobody here wrote (moto's): what Athena would see of the lake.

use crate::lake::{FACTS, Key, Seen, TABLES};
use crate::operate::Catalogued;
use crate::step::Place;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "../program/support/moto.rs"]
mod server;

/// moto_server, gone with this value.
pub(crate) struct Moto(server::Moto);

/// A database of the catalog.
pub(crate) struct Glue {
    moto: Arc<Moto>,
    database: String,
    is_registered: bool,
    /// The days that it must have a partition of.
    must: BTreeSet<Key>,
    /// The days that were there before there was a catalog, which `compline catalog` alone adds.
    before: BTreeSet<Key>,
}

impl Moto {
    /// Starts one. `./tests/run` installs it.
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self(server::Moto::start()))
    }

    /// An operation of Glue, with a signature that is none, which moto does not mind.
    fn glue(&self, operation: &str, body: &Value) -> Value {
        let mut socket = TcpStream::connect(self.0.url().trim_start_matches("http://")).expect("a connection");
        let body = body.to_string();
        let signed =
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/glue/aws4_request, SignedHeaders=host, Signature=0";
        let headers = format!(
            "Host: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AWSGlue.{operation}\r\n\
             Content-Length: {}\r\nAuthorization: {signed}\r\nConnection: close",
            body.len()
        );
        socket.write_all(format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n{body}").as_bytes()).expect("sent");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers");
        serde_json::from_slice(&answer[end + 4..]).unwrap_or(Value::Null)
    }
}

impl Glue {
    /// A database of its own.
    pub(crate) fn new(moto: &Arc<Moto>, place: Place) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let database = format!("lake_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self {
            moto: Arc::clone(moto),
            database,
            is_registered: place == Place::Registered,
            must: BTreeSet::new(),
            before: BTreeSet::new(),
        }
    }

    /// The lines of the pipeline file.
    pub(crate) fn settings(&self) -> String {
        let mode = if self.is_registered { "registered" } else { "projection" };
        let Self { database, moto, .. } = self;
        format!("[catalog]\ndatabase = \"{database}\"\npartitions = \"{mode}\"\nendpoint_url = {:?}\n", moto.0.url())
    }

    /// Takes in what is there before there is a catalog.
    pub(crate) fn begin(&mut self, seen: &Seen) {
        self.before = days(seen);
    }

    /// Holds what a reader sees through the catalog against the files that are there.
    pub(crate) fn check(&mut self, seen: &Seen, catalogued: &Catalogued) -> Result<(), String> {
        let days = days(seen);
        self.must.retain(|key| days.contains(key));
        match catalogued {
            Catalogued::Nobodys => return Ok(()),
            Catalogued::Of(ids) if self.is_registered => {
                let of = days.into_iter().filter(|key| ids.contains(&key.0) && !self.before.contains(key));
                self.must.extend(of);
            }
            // A projection is of the whole lake.
            Catalogued::Of(_) | Catalogued::All => self.must.extend(days),
        }
        for table in TABLES {
            let there: BTreeSet<&Key> = self.must.iter().filter(|key| seen.day(table, key).is_some()).collect();
            if let Some(key) = self.hidden(table, &there) {
                return Err(format!("{table} of {key:?} is in the lake, and a reader of the catalog does not see it"));
            }
        }
        Ok(())
    }

    /// One of these days that a reader of the table does not see.
    fn hidden<'a>(&self, table: &str, days: &BTreeSet<&'a Key>) -> Option<&'a Key> {
        if self.is_registered {
            let body = json!({"DatabaseName": self.database, "TableName": table});
            let answer = self.moto.glue("GetPartitions", &body);
            let partitions = answer["Partitions"].as_array().cloned().unwrap_or_default();
            let values: Vec<Value> = partitions.into_iter().map(|one| one["Values"].clone()).collect();
            return days.iter().copied().find(|(id, date)| !values.contains(&json!([date, id])));
        }
        let answer = self.moto.glue("GetTable", &json!({"DatabaseName": self.database, "Name": table}));
        let parameters = &answer["Table"]["Parameters"];
        let of = |name: &str| parameters[name].as_str().unwrap_or_default().to_owned();
        let (ids, range) = (of("projection.aggregator.values"), of("projection.snapshot_date.range"));
        let ids: BTreeSet<&str> = ids.split(',').collect();
        let first = range.split(',').next().unwrap_or_default();
        days.iter().copied().find(|(id, date)| !ids.contains(id.as_str()) || date.as_str() < first)
    }
}

/// The days that have a snapshot.
fn days(seen: &Seen) -> BTreeSet<Key> {
    seen.days.get(FACTS).into_iter().flat_map(BTreeMap::keys).cloned().collect()
}
