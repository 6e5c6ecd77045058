//! What accounts are called: as AWS Organizations says, or from a CSV file, such as the one that its console exports.

use crate::output::harmless;
use crate::settings::{NamesSource, Settings};
use anyhow::{Context, bail, ensure};
use compline_aws::{Environment, Identity};
use compline_fetcher::account_names;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// The largest file that is read, in bytes: some hundred thousand accounts.
const MAX_BYTES: u64 = 32 << 20;

/// The longest that AWS Organizations is asked, which names 20 accounts a call.
const ORGANIZATIONS_LIMIT: Duration = Duration::from_secs(240);

/// Digits of an account id.
const ID_DIGITS: usize = 12;

/// What a column of ids is called, in lower case, with spaces: our own, the console's, `list-accounts`'.
const ID_HEADERS: [&str; 4] = ["account id", "id", "account", "accountid"];

/// What a column of names is called.
const NAME_HEADERS: [&str; 4] = ["account name", "name", "accountname", "account alias"];

/// Names of accounts by their ids.
#[derive(Debug, Default)]
pub(crate) struct AccountNames(HashMap<String, String>);

impl AccountNames {
    /// Those of the settings' source, or none.
    ///
    /// # Errors
    /// A file that cannot be read or has no such columns; AWS Organizations that does not answer.
    pub(crate) async fn of_source(source: Option<&NamesSource>, settings: &Settings) -> anyhow::Result<Self> {
        match source {
            None => Ok(Self::default()),
            Some(NamesSource::File(path)) => Self::read(path),
            Some(NamesSource::Organizations) => {
                let environment = Environment::load(Identity::DefaultChain).await?;
                // One of the AWS partition.
                let region = settings.aggregators.first().map(|one| one.address.region.clone());
                let region = region.context("there is no aggregator")?;
                let asked = tokio::time::timeout(ORGANIZATIONS_LIMIT, account_names(&environment, &region)).await;
                let limit = ORGANIZATIONS_LIMIT.as_secs();
                let names = asked
                    .with_context(|| format!("AWS Organizations did not name all accounts within {limit} s"))??;
                Ok(Self(names.into_iter().map(|(id, name)| (id.to_string(), visible(&name))).collect()))
            }
        }
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            ensure!(std::fs::metadata(path)?.is_file(), "it is no plain file");
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            ensure!(bytes.len() as u64 <= MAX_BYTES, "it has more than {MAX_BYTES} bytes");
            Self::parse(&bytes)
        };
        read().with_context(|| format!("cannot read the names of accounts from {}", path.display()))
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
        let header = reader.headers()?.clone();
        let column = |names: [&str; 4]| {
            let name = |header: &str| header.to_lowercase().replace('_', " ");
            names.iter().find_map(|wanted| header.iter().position(|header| name(header) == *wanted))
        };
        let (Some(id), Some(name)) = (column(ID_HEADERS), column(NAME_HEADERS)) else {
            bail!("its first line names no columns for id and name, such as account_id,name");
        };
        let mut names = HashMap::new();
        for row in reader.records() {
            let row = row?;
            let (Some(id), Some(name)) = (row.get(id), row.get(name)) else { continue };
            let is_id = !id.is_empty() && id.len() <= ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_digit());
            if is_id && !name.is_empty() {
                // A spreadsheet takes the zeros away that an id begins with.
                names.insert(format!("{id:0>ID_DIGITS$}"), visible(name));
            }
        }
        ensure!(!names.is_empty(), "it has no row with an account id of {ID_DIGITS} digits and a name");
        Ok(Self(names))
    }

    /// How many accounts have one.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// What an account is called, if it is known.
    pub(crate) fn of(&self, account_id: &str) -> Option<String> {
        self.0.get(account_id).cloned()
    }
}

/// A name without what is not seen of it, and turns what is around it: whoever reads a report trusts its lines.
fn visible(name: &str) -> String {
    harmless(name).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b19_names_are_found_by_ids_whose_zeros_a_spreadsheet_took() {
        let console = "\u{feff}Account ID,ARN,Email,Name,Status\n1,arn,a@b,\"Log, archive\",ACTIVE\n111122223333,arn,a@b,Web,ACTIVE\n";
        let names = AccountNames::parse(console.as_bytes()).expect("names");
        assert_eq!(names.of("000000000001").as_deref(), Some("Log, archive"));
        assert_eq!(names.of("111122223333").as_deref(), Some("Web"));
        assert_eq!(names.of("1"), None);
    }

    #[test]
    fn a_file_without_the_columns_says_which_are_needed() {
        let error = AccountNames::parse(b"a,b\n1,2\n").expect_err("no columns");
        assert_eq!(error.to_string(), "its first line names no columns for id and name, such as account_id,name");
    }

    #[test]
    fn what_is_no_account_is_left_out_and_a_file_of_nothing_else_is_an_error() {
        let rows = "account_id,name\nx,y\n\n1234567890123,z\n222233334444\n,q\n7.64017E+11,w\n";
        let error = AccountNames::parse(rows.as_bytes()).expect_err("no account");
        assert_eq!(error.to_string(), "it has no row with an account id of 12 digits and a name");
        let names = AccountNames::parse(format!("{rows}1,one\n").as_bytes()).expect("names");
        assert_eq!(names.count(), 1);
        assert!(AccountNames::parse(b"id,name\n\xff\xfe,x\n").is_err());
    }
}
