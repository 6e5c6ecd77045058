//! AWS Config's side of the wire: it answers for each aggregator and date with the packs or rules that a sequence chose.

use crate::dataset::Dataset;
use crate::facts::{ACCOUNTS, Fact, Facts, REGIONS, answer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A running server; it stops when it is dropped.
pub(crate) struct Aws {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// What a sequence chooses of.
    dataset: Dataset,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is answered, by the aggregator's name and the date.
    answers: BTreeMap<(String, String), Facts>,
    /// Whether every call is answered with an error.
    is_broken: bool,
    /// Whether no call is answered yet.
    is_stalled: bool,
    /// Calls that came.
    calls: u64,
    is_over: bool,
}

impl Aws {
    pub(crate) fn start(dataset: Dataset) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared { dataset, state: Mutex::default(), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming().filter_map(Result::ok) {
                if serving.state().is_over {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(&socket));
            }
        });
        Self { address, shared }
    }

    /// Its address for any date.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{{date}}", self.address)
    }

    pub(crate) fn say(&self, aggregator: &str, date: &str, facts: Facts) {
        self.shared.state().answers.insert((format!("{aggregator}-aggregator"), date.to_owned()), facts);
    }

    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.shared.state().is_broken = is_broken;
    }

    pub(crate) fn stall(&self, is_stalled: bool) {
        self.shared.state().is_stalled = is_stalled;
        self.shared.changed.notify_all();
    }

    /// How many calls have come.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.state().calls
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.stall(false);
        // The thread that accepts is woken by a connection.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut socket: &TcpStream) {
        let Some((date, operation, body)) = request(socket) else { return };
        let (status, answer) = self.answer(&date, &operation, &body);
        let answer = answer.to_string();
        let _ = write!(
            socket,
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        );
    }

    fn answer(&self, date: &str, operation: &str, body: &Value) -> (&'static str, Value) {
        let mut state = self.state();
        state.calls += 1;
        while state.is_stalled {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let error = |kind: &str| ("400 Bad Request", json!({"__type": kind, "message": "so says the test"}));
        if state.is_broken {
            return error("AccessDeniedException");
        }
        match operation {
            "DescribeConfigurationAggregators" => ("200 OK", aggregators(body)),
            "DescribeConfigurationAggregatorSourcesStatus" => ("200 OK", sources()),
            _ if operation == self.dataset.operation() => {
                let name = body["ConfigurationAggregatorName"].as_str().unwrap_or_default();
                let Some(facts) = state.answers.get(&(name.to_owned(), date.to_owned())) else {
                    return error("NoSuchConfigurationAggregatorException");
                };
                ("200 OK", answer(self.dataset, &wanted(self.dataset, facts, &body["Filters"])))
            }
            _ if operation == Dataset::Packs.operation() => {
                let wanted = wanted(Dataset::Packs, &Dataset::packs_beside(), &body["Filters"]);
                ("200 OK", answer(Dataset::Packs, &wanted))
            }
            _ => error("UnknownOperationException"),
        }
    }
}

fn wanted(dataset: Dataset, facts: &Facts, filters: &Value) -> Facts {
    let is = |name: &str, value: &str| filters[name].as_str().is_none_or(|wanted| wanted == value);
    let is_wanted = |fact: &&Fact| {
        let (account, region, name) = &fact.key;
        is("AccountId", account)
            && is("AwsRegion", region)
            && is(dataset.name_key(), name)
            && is("ComplianceType", &fact.kind)
    };
    facts.iter().filter(is_wanted).cloned().collect()
}

fn aggregators(body: &Value) -> Value {
    let names = body["ConfigurationAggregatorNames"].as_array().cloned().unwrap_or_default();
    let one = |name: Value| {
        let arn = "arn:aws:config:eu-west-1:000000000001:config-aggregator/config-aggregator-one";
        json!({"ConfigurationAggregatorName": name, "ConfigurationAggregatorArn": arn,
            "AccountAggregationSources": [{"AccountIds": ACCOUNTS, "AwsRegions": REGIONS}]})
    };
    json!({"ConfigurationAggregators": names.into_iter().map(one).collect::<Vec<_>>()})
}

fn sources() -> Value {
    let mut sources = Vec::new();
    for account in ACCOUNTS {
        for region in REGIONS {
            sources.push(json!({"SourceId": account, "SourceType": "ACCOUNT", "AwsRegion": region,
                "LastUpdateStatus": "SUCCEEDED", "LastUpdateTime": 1_767_225_600}));
        }
    }
    json!({"AggregatedSourceStatusList": sources})
}

/// The date in a request's path, its operation, and its body.
fn request(socket: &TcpStream) -> Option<(String, String, Value)> {
    let mut reader = BufReader::new(socket);
    let (mut line, mut length, mut operation) = (String::new(), 0, String::new());
    reader.read_line(&mut line).ok()?;
    let date = line.split_whitespace().nth(1)?.trim_matches('/').to_owned();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-amz-target" => operation = value.rsplit('.').next()?.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((date, operation, serde_json::from_slice(&body).ok()?))
}
