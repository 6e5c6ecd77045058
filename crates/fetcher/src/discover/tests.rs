use super::*;
use crate::connect::example;
use crate::wire::Gathered;
use proptest::prelude::*;
use std::sync::LazyLock;

const MANY: usize = 16;

/// A client that nothing is asked with.
async fn client() -> AggregatorClient {
    example::client(example::options()).await
}

fn wanted(filters: &[FilterLists], fan_out: FanOut) -> Wanted<'_> {
    let date = "2026-03-01".parse().expect("a date");
    let run_id = RunId::new(DateTime::UNIX_EPOCH);
    Wanted { dataset: &Dataset::PACKS, filters, fan_out, at_once: MANY, date, run_id }
}

fn status(source_id: &str, region: &str) -> SourceAnswer {
    SourceAnswer {
        source_id: source_id.to_owned(),
        source_type: "ACCOUNT".to_owned(),
        aws_region: Some(region.to_owned()),
        status: "SUCCEEDED".to_owned(),
        last_update_time: None,
        error_code: None,
        error_message: None,
    }
}

fn sources(statuses: Vec<SourceAnswer>) -> Sources {
    let run_id = RunId::new(DateTime::UNIX_EPOCH);
    Sources { statuses, collected_at: DateTime::UNIX_EPOCH, run_id, lines: Bytes::new() }
}

/// A count of so many packs in each of these.
fn counted(names: &[&str], packs: i64) -> Option<Result<CountedPacks, FetchError>> {
    let of = PackCounts { compliant: packs, non_compliant: 0 };
    Some(Ok(names.iter().map(|name| ((*name).to_owned(), of)).collect()))
}

fn failed(code: &str) -> Option<Result<CountedPacks, FetchError>> {
    let (message, request_id) = ("no".to_owned(), "id".to_owned());
    let cause = Cause::Service { code: code.to_owned(), message, request_id, hint: None };
    Some(Err(FetchError::permanent("counting".to_owned(), cause)))
}

/// What lines of a plan of the aggregator and day of these tests have.
fn read(lines: &Bytes, dataset: &'static Dataset) -> Result<(ShardPlan, Option<Sources>), DumpError> {
    let of = (&"org".parse().expect("an id"), dataset, "2026-03-01".parse().expect("a date"));
    ShardPlan::read("plan", lines.clone(), of)
}

fn shown(plan: &ShardPlan) -> Vec<String> {
    plan.shards.iter().map(|shard| shard.filter.to_string()).collect()
}

fn before(
    client: &AggregatorClient,
    wanted: Wanted<'_>,
    by_region: Option<Result<CountedPacks, FetchError>>,
    by_account: Option<Result<CountedPacks, FetchError>>,
) -> Result<ShardPlan, FetchError> {
    let counts = Counts { by_region, by_account };
    client.extended(ShardPlan { counts, ..ShardPlan::default() }, wanted, None)
}

#[tokio::test]
async fn shards_of_what_is_counted_do_not_wait_for_the_sources_and_those_of_what_these_alone_name_come_behind() {
    let client = client().await;
    let wanted = wanted(&[], FanOut::Auto);
    let accounts: Vec<String> = (1..=600).map(|number| format!("{number:012}")).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let plan = before(&client, wanted, counted(&["eu-west-1", "us-east-1"], 9_000), counted(&accounts, 30));
    let plan = plan.expect("a plan");
    assert_eq!(shown(&plan), ["aws_region=eu-west-1", "aws_region=us-east-1"]);
    let of_sources = sources(vec![status("000000000001", "ap-south-1"), status("000000000002", "us-east-1")]);
    let plan = client.plan_rest(plan, wanted, &of_sources).expect("a plan");
    assert_eq!(shown(&plan), ["aws_region=eu-west-1", "aws_region=us-east-1", "aws_region=ap-south-1"]);
    assert_eq!(plan.shards.iter().map(|shard| shard.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((plan.unnamed[0].as_str(), plan.unnamed.len()), ("eu-west-1", 599), "one region, and 598 accounts");
}

#[tokio::test]
async fn auto_waits_for_the_sources_where_a_count_is_not_at_hand_or_accounts_without_a_pack_might_each_take_a_call() {
    let client = client().await;
    let wanted = wanted(&[], FanOut::Auto);
    let of_sources = sources((1..=40).map(|number| status(&format!("{number:012}"), "eu-west-1")).collect());
    let one_region = || counted(&["eu-west-1"], 4_000);
    for (by_region, by_account) in [
        (failed("AccessDeniedException"), counted(&["000000000001"], 2_000)),
        (one_region(), failed("InternalFailure")),
    ] {
        let plan = before(&client, wanted, by_region, by_account).expect("a plan");
        assert_eq!((shown(&plan), plan.fan_out()), (Vec::new(), None));
        let plan = client.plan_rest(plan, wanted, &of_sources).expect("a plan");
        assert!(!plan.shards.is_empty() && plan.fan_out().is_some(), "{plan:?}");
    }
    // Of 20 accounts with packs each would be a shard of two pages. There are 400.
    let twenty: Vec<String> = (1..=20).map(|number| format!("{number:012}")).collect();
    let twenty: Vec<&str> = twenty.iter().map(String::as_str).collect();
    let plan = before(&client, wanted, one_region(), counted(&twenty, 200)).expect("a plan");
    assert_eq!((shown(&plan), plan.fan_out()), (Vec::new(), None));
    let of_many = sources((1..=400).map(|number| status(&format!("{number:012}"), "eu-west-1")).collect());
    let many = client.plan_rest(plan.clone(), wanted, &of_many).expect("a plan");
    assert_eq!(shown(&many), ["everything"]);
    let few = sources((1..=20).map(|number| status(&format!("{number:012}"), "eu-west-1")).collect());
    let few = client.plan_rest(plan, wanted, &few).expect("a plan");
    assert_eq!((few.shards.len(), few.fan_out()), (20, Some(FanOut::Account)));
}

#[tokio::test]
async fn a_count_that_fails_fails_the_split_that_is_asked_for_and_auto_goes_without_it_but_where_it_is_denied() {
    let client = client().await;
    for (fan_out, by_region, by_account) in
        [(FanOut::Region, failed("InternalFailure"), None), (FanOut::Account, None, failed("InternalFailure"))]
    {
        let error = before(&client, wanted(&[], fan_out), by_region, by_account).expect_err("no count");
        assert!(error.to_string().contains("InternalFailure"), "{error}");
    }
    let one = sources(vec![status("000000000001", "eu-west-1")]);
    let by_region = wanted(&[], FanOut::Region);
    let plan = before(&client, by_region, failed("AccessDeniedException"), None).expect("a plan");
    assert_eq!(shown(&client.plan_rest(plan, by_region, &one).expect("a plan")), ["aws_region=eu-west-1"]);
    // Of many sources in four regions.
    let many = (1..=900).flat_map(|account| REGIONS.map(|region| status(&format!("{account:012}"), region)));
    let many = sources(many.collect());
    let (denied, failure) = (|| failed("AccessDeniedException"), || failed("InternalFailure"));
    let by_region = || counted(&REGIONS, 4_500);
    for (by_region, by_account, shards, is_lasting) in [
        (denied(), denied(), 4, true),
        (failure(), failure(), 1, false),
        (by_region(), failure(), 4, false),
        (by_region(), denied(), 4, true),
    ] {
        let auto = wanted(&[], FanOut::Auto);
        let plan = before(&client, auto, by_region, by_account).expect("a plan");
        let plan = client.plan_rest(plan, auto, &many).expect("a plan");
        assert_eq!((plan.shards.len(), plan.is_lasting()), (shards, is_lasting), "{plan:?}");
    }
}

#[tokio::test]
async fn f10_a_name_that_no_shard_can_ask_for_is_named_and_not_left_out() {
    let client = client().await;
    let error = |fan_out, statuses: &[SourceAnswer]| {
        let plan = before(&client, wanted(&[], fan_out), counted(&[], 0), counted(&[], 0)).expect("a plan");
        client.plan_rest(plan, wanted(&[], fan_out), &sources(statuses.to_vec())).map(drop).map_err(|e| e.to_string())
    };
    let good = status("000000000001", "eu-west-1");
    let organization =
        SourceAnswer { source_type: "ORGANIZATION".to_owned(), aws_region: None, ..status("o-abc1234567", "") };
    assert_eq!(error(FanOut::Account, &[good.clone(), organization]), Ok(()), "an organization has no packs itself");

    let odd_region = [good.clone(), status("000000000002", "mars")];
    assert_eq!(error(FanOut::Account, &odd_region), Ok(()));
    let said = error(FanOut::Region, &odd_region).expect_err("no region");
    assert!(said.contains("names mars, which is not the name of an AWS region"), "{said}");

    let odd_account = [good.clone(), status("12", "eu-west-1")];
    assert_eq!(error(FanOut::Region, &odd_account), Ok(()));
    let said = error(FanOut::Account, &odd_account).expect_err("no account");
    assert!(said.contains("names 12, which is not the name of an account"), "{said}");
    let many: Vec<_> = (0..9).map(|number| status(&number.to_string(), "eu-west-1")).collect();
    let said = error(FanOut::Account, &many).expect_err("no account");
    assert!(said.contains("names 0, 1, 2, 3, 4 and 4 more, "), "{said}");
    let said = error(FanOut::Region, &[]).expect_err("nothing to split by");
    assert!(said.contains("names no source accounts or regions"), "{said}");

    // A split of our own is given up where shards are read by then: what they cannot ask for is read with everything.
    let wanted = wanted(&[], FanOut::Auto);
    let accounts: Vec<String> = (1..=600).map(|number| format!("{number:012}")).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let plan = before(&client, wanted, counted(&["eu-west-1", "us-east-1"], 9_000), counted(&accounts, 30));
    let plan = client.plan_rest(plan.expect("a plan"), wanted, &sources(odd_region.to_vec())).expect("a plan");
    assert_eq!(shown(&plan), ["aws_region=eu-west-1", "aws_region=us-east-1", "everything"]);
}

#[tokio::test]
async fn a_plan_that_is_read_back_is_the_one_that_was_written_whatever_its_shards_ask_for() {
    let client = client().await;
    let filters = [FilterLists {
        conformance_pack_name: vec!["OrgConformsPack-a-12345678".parse().expect("a name")],
        compliance_type: vec![compline_model::ComplianceType::NonCompliant],
        ..FilterLists::default()
    }];
    let wanted = wanted(&filters, FanOut::Account);
    let plan = before(&client, wanted, None, counted(&["000000000007", "000000000001"], 1)).expect("a plan");
    let lines = client.plan_lines(&plan, wanted, None).expect("lines");
    let (left, none) = read(&lines, &Dataset::PACKS).expect("read back");
    assert_eq!((&left.shards, left.fan_out(), none), (&plan.shards, Some(FanOut::Account), None));
    // What a stopped run has read keeps its place, also where an account before it is named since.
    let of_sources = sources(vec![status("000000000003", "eu-west-1"), status("000000000007", "eu-west-1")]);
    let whole = client.plan_rest(left, wanted, &of_sources).expect("a plan");
    let accounts: Vec<_> = whole.shards.iter().filter_map(|shard| shard.filter.account_id.clone()).collect();
    let accounts: Vec<&str> = accounts.iter().map(|account| account.as_str()).collect();
    assert_eq!(accounts, ["000000000001", "000000000007", "000000000003"]);
    let lines = client.plan_lines(&whole, wanted, None).expect("lines");
    assert!(read(&lines, &Dataset::RULES).is_err(), "a plan of another dataset");
    for (id, date, of) in
        [("org", "2026-03-02", "packs of org on 2026-03-01"), ("other", "2026-03-01", "packs of org on 2026-03-01")]
    {
        let of_other = (&id.parse().expect("an id"), &Dataset::PACKS, date.parse().expect("a date"));
        let error = ShardPlan::read("plan", lines.clone(), of_other).expect_err("a plan of another");
        assert!(error.to_string().contains(of), "{error}");
    }
}

const ACCOUNTS: [&str; 4] = ["000000000001", "000000000002", "000000000003", "000000000004"];
const REGIONS: [&str; 4] = ["ap-south-1", "eu-west-1", "us-east-1", "us-west-2"];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(of.to_vec(), 0..=of.len())
}

/// Filters, each of which may name regions, accounts and types, or leave them open.
fn some_filters() -> impl Strategy<Value = Vec<FilterLists>> {
    let types = proptest::sample::subsequence(compline_model::ComplianceType::ALL.to_vec(), 0..=3);
    let one = (some(&REGIONS), some(&ACCOUNTS), types).prop_map(|(regions, accounts, types)| FilterLists {
        aws_region: regions.iter().take(2).map(|name| name.parse().expect("a region")).collect(),
        account_id: accounts.iter().take(1).map(|name| name.parse().expect("an account")).collect(),
        compliance_type: types,
        ..FilterLists::default()
    });
    proptest::collection::vec(one, 0..3)
}

/// What a plan of all that is named asks for and this one does not.
fn not_asked(plan: &ShardPlan, wanted: Wanted<'_>, places: &Places) -> Vec<String> {
    let fan_out = plan.fan_out().expect("it is known");
    let asked: BTreeSet<&Filter> = plan.shards.iter().map(|shard| &shard.filter).collect();
    let is_asked =
        |filter: &Filter| asked.contains(filter) || asked.contains(&Filter { compliance_type: None, ..filter.clone() });
    let all = plan_shards(wanted.dataset, wanted.filters, fan_out, &places.regions, &places.accounts);
    all.iter().map(|shard| &shard.filter).filter(|filter| !is_asked(filter)).map(ToString::to_string).collect()
}

static CLIENT: LazyLock<AggregatorClient> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("a runtime").block_on(client()));

proptest! {
    /// Whatever is known before the sources, the plan asks for all that it would ask for if everything were known at once, nothing twice,
    /// and a shard keeps its place.
    #[test]
    fn whatever_is_known_before_the_sources_the_whole_plan_asks_for_everything_and_no_request_is_made_twice(
        filters in some_filters(),
        fan_out in proptest::sample::select(vec![FanOut::Auto, FanOut::None, FanOut::Region, FanOut::Account]),
        (regions, accounts) in (some(&REGIONS), some(&ACCOUNTS)),
        (source_regions, source_accounts) in (some(&REGIONS), some(&ACCOUNTS)),
        (gathered_regions, gathered_accounts) in (some(&REGIONS), some(&ACCOUNTS)),
        packs in 0_i64..400,
    ) {
        let client = CLIENT.clone();
        let wanted = wanted(&filters, fan_out);
        let of_sources: Vec<SourceAnswer> =
            source_regions.iter().flat_map(|region| source_accounts.iter().map(|account| status(account, region))).collect();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let gathered = Gathered { account_ids: names(&gathered_accounts), aws_regions: names(&gathered_regions) };
        let mut places = Places::default();
        places.add_gathered(&gathered);
        let counts = Counts { by_region: counted(&regions, packs), by_account: counted(&accounts, packs) };
        let plan = ShardPlan { gathered: Some(places.clone()), counts, ..ShardPlan::default() };
        let plan = client.extended(plan, wanted, None).expect("a plan");
        let first = plan.shards.clone();
        let lines = client.plan_lines(&plan, wanted, None).expect("lines");
        let whole = client.plan_rest(plan, wanted, &sources(of_sources.clone()));
        of_sources.iter().for_each(|status| places.add_source(status));
        places.add_counted(Split::Regions, names(&regions).iter());
        places.add_counted(Split::Accounts, names(&accounts).iter());
        // A run that goes on from the checkpoint, and by then more is counted.
        if !first.is_empty() {
            let (left, _) = read(&lines, &Dataset::PACKS).expect("read back");
            let more = counted(&REGIONS, packs);
            let counts = Counts { by_region: more, by_account: counted(&accounts, packs) };
            let left = client.extended(ShardPlan { counts, ..left }, wanted, None).expect("a plan");
            let again = client.plan_rest(left, wanted, &sources(of_sources)).expect("a plan");
            prop_assert_eq!(&again.shards[..first.len()], &first[..]);
            let mut by_now = places.clone();
            by_now.add_counted(Split::Regions, names(&REGIONS).iter());
            prop_assert_eq!(not_asked(&again, wanted, &by_now), Vec::<String>::new());
        }
        let Ok(whole) = whole else {
            prop_assert!(first.is_empty(), "nothing to split by, and shards: {:?}", first);
            return Ok(());
        };
        prop_assert_eq!(&whole.shards[..first.len()], &first[..]);
        prop_assert!((0..).zip(&whole.shards).all(|(index, shard)| shard.index == index));
        let asked: BTreeSet<&Filter> = whole.shards.iter().map(|shard| &shard.filter).collect();
        prop_assert_eq!(asked.len(), whole.shards.len());
        prop_assert_eq!(not_asked(&whole, wanted, &places), Vec::<String>::new());
    }
}
