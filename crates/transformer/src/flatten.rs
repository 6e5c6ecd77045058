//! Pages to rows of a dataset's facts, held as small as they can be until all of a day are there.

use crate::RowFilter;
use compline_model::{Answers, Dataset, PackAnswer, Page, RuleAnswer, RuleName, RunId};
use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What every row of one aggregator's day shares.
#[derive(Debug, Clone)]
pub struct Flattener {
    dataset: &'static Dataset,
    row_filter: Arc<RowFilter>,
    names: Arc<Mutex<Names>>,
}

/// The texts of an aggregator's day. Shards share them: a pack has the same name in each region of an account.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) accounts: Texts,
    pub(crate) regions: Texts,
    /// Of packs, and of rules without the id of a pack at their end.
    pub(crate) names: Texts,
    /// The ids of packs at the ends of rules' names. There are a million of them in an organization with ten million rules, which all have
    /// names of their own.
    pub(crate) pack_ids: Texts,
    pub(crate) types: Texts,
}

impl Flattener {
    /// Rows that are not wanted are left out and counted.
    pub fn new(dataset: &'static Dataset, row_filter: RowFilter) -> Self {
        Self { dataset, row_filter: Arc::new(row_filter), names: Arc::default() }
    }

    /// The rows of one shard, none yet.
    pub fn shard(&self) -> ShardRows {
        ShardRows { flattener: self.clone(), rows: Vec::new(), pages: Vec::new(), left_out: 0 }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of one shard, in the order they came: 36 bytes each, since the same few thousand names come a million times and each is
/// held once.
#[derive(Debug)]
pub struct ShardRows {
    flattener: Flattener,
    pub(crate) rows: Vec<Row>,
    pages: Vec<PageRows>,
    left_out: u64,
}

/// A row, its texts by their numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) account: u32,
    pub(crate) region: u32,
    pub(crate) name: u32,
    /// The number of the pack id at the end of its name, from 1; 0 if there is none.
    pack_id: u32,
    /// The number of its compliance type, from 1; 0 if it has none.
    compliance_type: u32,
    /// Of a pack compliant, non-compliant and total; of a rule its contributors, and 1 if there are more of them.
    counts: [i32; 3],
    /// Which of them are there.
    has: [bool; 3],
}

/// A page's rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRows {
    /// The first of them.
    first: usize,
    /// Milliseconds since 1970.
    pub(crate) collected_at: Option<i64>,
    pub(crate) run_id: RunId,
}

/// Texts, each once, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// Of each text which came after it the last time: every account has the same packs in the same order.
    next: Vec<u32>,
    last: u32,
}

impl Texts {
    /// The number of a text.
    fn number(&mut self, text: &str) -> u32 {
        let last = self.last as usize;
        let guesses = [Some(self.last), self.next.get(last).copied()];
        let is_it = |guess: &u32| self.texts.get(*guess as usize).is_some_and(|guess| **guess == *text);
        let number = guesses.into_iter().flatten().find(is_it).unwrap_or_else(|| self.look_up(text));
        if let Some(next) = self.next.get_mut(last).filter(|_| number != self.last) {
            *next = number;
        }
        self.last = number;
        number
    }

    fn look_up(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (text, number) = (Arc::<str>::from(text), u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.numbers.insert(Arc::clone(&text), number);
        self.texts.push(text);
        self.next.push(number);
        number
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }
}

impl ShardRows {
    /// Adds the rows of a page.
    pub fn push(&mut self, page: &Page) {
        let collected_at = page.collected_at.map(|time| time.timestamp_millis());
        self.pages.push(PageRows { first: self.rows.len(), collected_at, run_id: page.run_id });
        let (before, filter) = (self.rows.len(), &self.flattener.row_filter);
        match &page.answers {
            Answers::Packs(packs) => {
                let wanted: Vec<&PackAnswer> = packs.iter().filter(|pack| filter.wants_pack(pack)).collect();
                let mut names = self.flattener.names();
                self.rows.extend(wanted.into_iter().map(|pack| names.row_of_pack(pack)));
            }
            Answers::Rules(rules) => {
                let wanted: Vec<&RuleAnswer> = rules.iter().filter(|rule| filter.wants_rule(rule)).collect();
                let mut names = self.flattener.names();
                self.rows.extend(wanted.into_iter().map(|rule| names.row_of_rule(rule)));
            }
        }
        self.left_out += (page.answers.len() - (self.rows.len() - before)) as u64;
    }

    /// Drops every row: the shard begins again.
    pub fn clear(&mut self) {
        *self = self.flattener.shard();
    }

    /// The same rows without room for more.
    pub fn finish(mut self) -> Self {
        self.rows.shrink_to_fit();
        self
    }

    /// The dataset that they are of.
    pub(crate) fn dataset(&self) -> &'static Dataset {
        self.flattener.dataset
    }

    /// The texts that the rows point to: those of every shard of the flattener, which has none left.
    pub(crate) fn take_names(&self) -> Names {
        mem::take(&mut *self.flattener.names())
    }

    /// Whether another shard's numbers are of the same texts.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.flattener.names, &other.flattener.names)
    }

    /// The rows that are not wanted, so far.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The page that a row came with.
    pub(crate) fn page(&self, row: usize) -> &PageRows {
        &self.pages[self.pages.partition_point(|page| page.first <= row) - 1]
    }
}

impl Names {
    fn row_of_pack(&mut self, pack: &PackAnswer) -> Row {
        let compliance = pack.compliance.as_ref();
        let counts = compliance.map_or([None; 3], |compliance| {
            [compliance.compliant_rule_count, compliance.non_compliant_rule_count, compliance.total_rule_count]
        });
        let compliance_type = compliance.and_then(|compliance| compliance.compliance_type.as_deref());
        let place = [pack.account_id.as_str(), &pack.aws_region];
        self.row(place, (&pack.conformance_pack_name, None), compliance_type, counts)
    }

    fn row_of_rule(&mut self, rule: &RuleAnswer) -> Row {
        let compliance = rule.compliance.as_ref();
        let capped = compliance.and_then(|compliance| compliance.contributor_count_capped).map(i32::from);
        let counts = [compliance.and_then(|compliance| compliance.contributor_count), capped, None];
        let compliance_type = compliance.and_then(|compliance| compliance.compliance_type.as_deref());
        let pack_id = RuleName::of(&rule.config_rule_name).conformance_pack_id;
        let before_id = rule.config_rule_name.len() - pack_id.map_or(0, str::len);
        let place = [rule.account_id.as_str(), &rule.aws_region];
        self.row(place, (&rule.config_rule_name[..before_id], pack_id), compliance_type, counts)
    }

    /// The row of an answer of an account and region, by its name without the pack's id, and that.
    fn row(
        &mut self,
        [account, region]: [&str; 2],
        (name, pack_id): (&str, Option<&str>),
        compliance_type: Option<&str>,
        counts: [Option<i32>; 3],
    ) -> Row {
        Row {
            account: self.accounts.number(account),
            region: self.regions.number(region),
            name: self.names.number(name),
            pack_id: pack_id.map_or(0, |id| self.pack_ids.number(id).saturating_add(1)),
            compliance_type: compliance_type.map_or(0, |text| self.types.number(text).saturating_add(1)),
            counts: counts.map(Option::unwrap_or_default),
            has: counts.map(|count| count.is_some()),
        }
    }
}

impl Row {
    /// The number of its compliance type, if it has one.
    pub(crate) fn compliance_type(&self) -> Option<u32> {
        self.compliance_type.checked_sub(1)
    }

    /// The number of the pack id at the end of its name, if there is one.
    pub(crate) fn pack_id(&self) -> Option<u32> {
        self.pack_id.checked_sub(1)
    }

    /// Those of a pack.
    pub(crate) fn counts(&self) -> Counts {
        let [compliant, non_compliant, total] = self.numbers();
        Counts { compliant, non_compliant, total }
    }

    /// Those of a rule.
    pub(crate) fn contributors(&self) -> Contributors {
        let [count, capped, _] = self.numbers();
        Contributors { count, is_capped: capped.map(|capped| capped != 0) }
    }

    fn numbers(&self) -> [Option<i32>; 3] {
        std::array::from_fn(|at| self.has[at].then_some(self.counts[at]))
    }
}

/// How many resources are why a rule is compliant or not, as far as AWS Config says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Contributors {
    pub(crate) count: Option<i32>,
    /// Whether there are more of them than counted.
    pub(crate) is_capped: Option<bool>,
}

/// The three counts that AWS Config gives, each of which may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) compliant: Option<i32>,
    pub(crate) non_compliant: Option<i32>,
    pub(crate) total: Option<i32>,
}

impl Counts {
    /// Total less compliant less non-compliant, negative where the counts contradict each other.
    pub(crate) fn insufficient_data(self) -> Option<i32> {
        self.total?.checked_sub(self.compliant?)?.checked_sub(self.non_compliant?)
    }

    pub(crate) fn rate(self) -> Option<f64> {
        let (compliant, non_compliant) = (self.compliant?, self.non_compliant?);
        if compliant < 0 || non_compliant < 0 || (compliant == 0 && non_compliant == 0) {
            return None;
        }
        Some(f64::from(compliant) / (f64::from(compliant) + f64::from(non_compliant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compliant: i32, non_compliant: i32, total: i32) -> Counts {
        Counts { compliant: Some(compliant), non_compliant: Some(non_compliant), total: Some(total) }
    }

    #[test]
    fn b20_what_could_not_be_evaluated_is_a_count_of_its_own_and_not_in_the_rate() {
        assert_eq!((counts(3, 0, 10).insufficient_data(), counts(3, 0, 10).rate()), (Some(7), Some(1.0)));
        assert_eq!((counts(0, 0, 5).insufficient_data(), counts(0, 0, 5).rate()), (Some(5), None));
        assert_eq!((counts(3, 1, 2).insufficient_data(), counts(3, 1, 2).rate()), (Some(-2), Some(0.75)));
    }

    #[test]
    fn b49_no_count_makes_a_rate_outside_0_to_1_or_an_overflow() {
        for (compliant, non_compliant) in [(-1, 3), (3, -1), (i32::MIN, i32::MIN), (0, 0)] {
            assert_eq!(counts(compliant, non_compliant, 5).rate(), None);
        }
        assert_eq!(counts(i32::MAX, i32::MAX, 0).rate(), Some(0.5));
        assert_eq!(counts(i32::MAX, i32::MAX, i32::MIN).insufficient_data(), None);
    }

    #[test]
    fn b21_missing_counts_give_null_and_not_zero() {
        let missing = Counts { compliant: None, ..counts(0, 1, 1) };
        assert_eq!((missing.insufficient_data(), missing.rate()), (None, None));
    }
}
