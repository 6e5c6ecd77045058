"""boto3 and the AWS CLI as they are read the simulator's rules through their own paginators, and `compline run` commits what they read."""

import collections
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

import boto3
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, HTTPClientError

from conftest import COMPLINE, comes_with_its_code_in_both_places, every_filter_gives_what_it_says, listed, overlap_and_agree, pipeline_text, rule_item

ORG = "org-aggregator"
ENDING = "-conformance-pack-"


def key(item):
    return item["AccountId"], item["AwsRegion"], item["ConfigRuleName"]


def kind(item):
    return item["Compliance"]["ComplianceType"]


def rules(client, **arguments):
    return listed(client, "describe_aggregate_compliance_by_config_rules", **arguments)


def packs(client):
    return listed(client, "describe_aggregate_compliance_by_conformance_packs")


@pytest.fixture(scope="module")
def client(simulator):
    return simulator.client()


@pytest.fixture(scope="module")
def everything(client):
    return rules(client)


def test_all_pages_have_every_rule_once(client, everything):
    assert len(everything) > 10_000
    assert len({key(item) for item in everything}) == len(everything)
    for size, wanted in ((1, 150), (7, 1500), (100, 1500), (1000, 1500)):
        some = rules(client, PaginationConfig={"PageSize": size, "MaxItems": wanted})
        assert len(some) == wanted and some == everything[:wanted]


@pytest.mark.parametrize("limit, rows", [(None, 1000), (0, 1000), (1, 1), (101, 101), (1000, 1000)])
def test_a_page_has_as_many_rules_as_the_limit_says(client, everything, limit, rows):
    arguments = {} if limit is None else {"Limit": limit}
    page = client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG, **arguments)
    assert page["AggregateComplianceByConfigRules"] == everything[:rows] and page["NextToken"]


@pytest.mark.parametrize("names", [("AccountId",), ("AwsRegion",), ("ConfigRuleName",), ("ComplianceType",),
                                   ("AccountId", "AwsRegion"), ("AwsRegion", "ComplianceType"),
                                   ("AccountId", "AwsRegion", "ConfigRuleName", "ComplianceType")])
def test_every_filter_gives_what_it_says(client, everything, names):
    ours = next(item for item in everything if item["ConfigRuleName"] == "required-tags")
    examples = (everything[0], everything[len(everything) // 2], everything[-1], ours)
    every_filter_gives_what_it_says(everything, examples, names, lambda filters: rules(client, Filters=filters))


def test_a_filter_that_nothing_fits_gives_an_empty_list(client):
    for filters in ({"AccountId": "999999999999"}, {"AwsRegion": "eu-south-2"}, {"ConfigRuleName": "none"}, {"ConfigRuleName": "-conformance-pack-"}):
        assert rules(client, Filters=filters) == []


def test_the_answers_are_sound(everything):
    assert {kind(item) for item in everything} == {"COMPLIANT", "NON_COMPLIANT"}
    counts = collections.Counter()
    for item in everything:
        count = item["Compliance"].get("ComplianceContributorCount")
        if count is None:
            counts[kind(item), None] += 1
        else:
            assert 0 <= count["CappedCount"] <= 100 and (not count["CapExceeded"] or count["CappedCount"] == 100)
            counts[kind(item), count["CappedCount"] > 0] += 1
            counts[count["CapExceeded"]] += 1
    # A noncompliant rule has a count; of the compliant ones some have none, and some one of 0.
    assert counts["NON_COMPLIANT", None] == counts["NON_COMPLIANT", False] == 0 < counts["NON_COMPLIANT", True]
    assert min(counts["COMPLIANT", has] for has in (None, False, True)) > 1000
    assert counts[True] > 100 and counts[False] > 1000


def test_rules_of_no_pack_are_named_by_who_has_deployed_them(everything):
    names = collections.Counter(item["ConfigRuleName"] for item in everything)
    # Names that a reader of names could take for those of a pack, of an organization and of Security Hub.
    assert {"audit-conformance-pack-changes", "OrgConfigRule-required-tags-prod", "securityhub-enabled"} <= set(names)
    assert {"Root account has MFA", "ALB_HTTP_TO_HTTPS_REDIRECTION_CHECK"} <= set(names)
    for pattern in ("OrgConfigRule-restricted-ssh-[a-z0-9]{8}", "securityhub-vpc-flow-logs-enabled-[0-9a-f]{8}"):
        of_places = [count for name, count in names.items() if re.fullmatch(pattern, name)]
        assert len(of_places) > 20 and set(of_places) == {1}


@pytest.mark.parametrize("day", ["2026-03-01", "2026-02-01"])
@pytest.mark.parametrize("faults", [(), ("rules_without_results=true",)])
def test_the_rules_of_a_place_are_those_of_its_packs(faulty_simulator, faults, day):
    """Counts of one id's rules are those of one pack: what is in both answers, and all that joins them.

    AWS does not list rules without results. Where the simulator does, they are the rest of a pack's total.
    """
    url = f"{faulty_simulator(*faults).url}/{day}"
    client = boto3.client("config", region_name="eu-west-1", endpoint_url=url)
    listed = ("COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA") if faults else ("COMPLIANT", "NON_COMPLIANT")
    of_packs, of_ids = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    for pack in packs(client):
        compliance = pack["Compliance"]
        counts = {"COMPLIANT": compliance["CompliantRuleCount"], "NON_COMPLIANT": compliance["NonCompliantRuleCount"]}
        counts["INSUFFICIENT_DATA"] = compliance["TotalRuleCount"] - sum(counts.values())
        counts = tuple(counts[name] for name in listed)
        # A pack without any result has no rule to be seen.
        if any(counts):
            of_packs[pack["AccountId"], pack["AwsRegion"]][counts] += 1
    seen = set()
    for item in rules(client):
        seen.add(kind(item))
        _, ending, pack_id = item["ConfigRuleName"].partition(ENDING)
        if ending and len(pack_id) == 9:
            of_ids[item["AccountId"], item["AwsRegion"], pack_id][kind(item)] += 1
    found = collections.defaultdict(collections.Counter)
    for (account, region, _), kinds in of_ids.items():
        found[account, region][tuple(kinds[name] for name in listed)] += 1
    assert seen == set(listed)
    assert found == of_packs and sum(map(len, found.values())) > 100


def test_two_aggregators_overlap_and_agree(simulator, everything):
    overlap_and_agree(everything, rules(simulator.client("us-east-1"), name="security-aggregator"), key)


@pytest.mark.parametrize("code, arguments", [
    ("NoSuchConfigurationAggregatorException", {"ConfigurationAggregatorName": "none"}),
    ("InvalidLimitException", {"Limit": 1001}),
    ("InvalidNextTokenException", {"NextToken": "made-up"}),
    ("ValidationException", {"Filters": {"ConfigRuleName": " "}}),
    ("ValidationException", {"Filters": {"ConfigRuleName": "a\n"}}),
    ("ValidationException", {"Filters": {"ConfigRuleName": "a" * 129}}),
    ("ValidationException", {"Filters": {"ComplianceType": "INSUFFICIENT_DATA"}}),
    ("ValidationException", {"Filters": {"ComplianceType": "NOT_APPLICABLE"}}),
    ("ValidationException", {"Filters": {"ComplianceType": "compliant"}}),
    ("ValidationException", {"Filters": {"AccountId": "1"}}),
    ("ValidationException", {"ConfigurationAggregatorName": "a b"}),
])
def test_the_four_exceptions_come_with_their_code_in_both_places(client, code, arguments):
    arguments = {"ConfigurationAggregatorName": ORG, **arguments}
    comes_with_its_code_in_both_places(lambda: client.describe_aggregate_compliance_by_config_rules(**arguments), code)


def test_a_token_is_good_for_its_own_operation_query_and_day_only(simulator, client):
    in_region = {"Filters": {"AwsRegion": "eu-west-1"}}
    other_day = boto3.client("config", region_name="eu-west-1", endpoint_url=f"{simulator.url}/2026-02-01")
    rule_pages = client.describe_aggregate_compliance_by_config_rules
    pack_pages = client.describe_aggregate_compliance_by_conformance_packs

    def token(pages, **arguments):
        first = pages(ConfigurationAggregatorName=ORG, Limit=10, **arguments)
        return {"ConfigurationAggregatorName": ORG, "NextToken": first["NextToken"]}

    of_rules, of_packs, of_region = token(rule_pages), token(pack_pages), token(rule_pages, **in_region)
    assert rule_pages(**of_rules)["AggregateComplianceByConfigRules"]
    assert rule_pages(**of_region, **in_region)["AggregateComplianceByConfigRules"]
    for refused in (
        lambda: rule_pages(**of_rules, **in_region),
        lambda: rule_pages(**of_region),
        lambda: rule_pages(**of_region, Filters={"AwsRegion": "us-east-1"}),
        lambda: pack_pages(**of_rules),
        lambda: rule_pages(**of_packs),
        lambda: other_day.describe_aggregate_compliance_by_config_rules(**of_rules),
    ):
        with pytest.raises(ClientError) as raised:
            refused()
        assert raised.value.response["Error"]["Code"] == "InvalidNextTokenException"


def test_empty_pages_with_a_token_lose_no_rule(faulty_simulator):
    client = faulty_simulator("empty_page_every=3").client()
    pages = list(client.get_paginator("describe_aggregate_compliance_by_config_rules").paginate(ConfigurationAggregatorName=ORG))
    sizes = [len(page["AggregateComplianceByConfigRules"]) for page in pages]
    assert 0 in sizes[:-1] and all("NextToken" in page for page in pages[:-1])
    read = [key(item) for page in pages for item in page["AggregateComplianceByConfigRules"]]
    assert len(read) == len(set(read)) == sum(sizes) > 10_000
    whole = rules(faulty_simulator().client())
    assert read == [key(item) for item in whole]


def test_a_repeated_token_gives_the_token_it_was_asked_with(faulty_simulator):
    client = faulty_simulator("repeated_token_every=1").client()
    first = client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG)
    second = client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG, NextToken=first["NextToken"])
    assert second["NextToken"] == first["NextToken"] and second["AggregateComplianceByConfigRules"]


@pytest.mark.parametrize("fault, code", [("throttle_every=1", "ThrottlingException"), ("error_every=1", "InternalFailure")])
def test_a_call_that_fails_says_so(faulty_simulator, fault, code):
    client = faulty_simulator(fault).client()
    with pytest.raises(ClientError) as raised:
        client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG)
    assert raised.value.response["Error"]["Code"] == code


@pytest.mark.parametrize("fault", ["expired_token_every=1", "lost_token_every=1"])
def test_a_refused_token_is_refused(faulty_simulator, fault):
    client = faulty_simulator(fault).client()
    token = client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG, Limit=1)["NextToken"]
    with pytest.raises(client.exceptions.InvalidNextTokenException):
        client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG, NextToken=token)


def test_a_body_that_is_cut_is_an_error(faulty_simulator):
    client = faulty_simulator("cut_every=1").client()
    # Half of a short body, as boto3 takes half of a long one for a page without a list.
    with pytest.raises(HTTPClientError):
        client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG, Limit=1)


def test_a_body_that_is_not_json_has_no_list(faulty_simulator):
    """boto3 takes it for a page that lacks every field, and raises nothing."""
    client = faulty_simulator("malformed_every=1").client()
    page = client.describe_aggregate_compliance_by_config_rules(ConfigurationAggregatorName=ORG)
    assert "AggregateComplianceByConfigRules" not in page and "NextToken" not in page


def test_the_aws_cli_reads_all_pages(simulator, everything):
    command = [str(pathlib.Path(sys.executable).with_name("aws")), "configservice", "describe-aggregate-compliance-by-config-rules",
               "--configuration-aggregator-name", ORG, "--page-size", "100", "--output", "json"]
    environment = {**os.environ, "AWS_ENDPOINT_URL_CONFIG_SERVICE": simulator.url, "AWS_DEFAULT_REGION": "eu-west-1"}
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout
    found = json.loads(answer)["AggregateComplianceByConfigRules"]
    # Ten times as many as any page may have.
    assert len(found) > 10_000 and found == everything


def committed(lake, day, aggregator):
    """The rules of a day as they are in the lake."""
    return pq.ParquetFile(lake / f"rule_compliance/snapshot_date={day}/aggregator={aggregator}/data.parquet").read().to_pylist()


# As `RuleName::of` in crates/model/src/rule_name.rs tells it, in the order of its list.
NAMES = (r"(?P<group>.+)-conformance-pack-(?P<id>[a-z0-9]{8,12})", r"(?P<group>OrgConfigRule-.+)-[a-z0-9]{8}", r"(?P<group>securityhub-.+)-[0-9a-f]{8}", "(?P<group>.*)")


def group_and_pack_id(name):
    parts = next(filter(None, (re.fullmatch(pattern, name, flags=re.S) for pattern in NAMES))).groupdict()
    return parts["group"], parts.get("id")


@pytest.mark.parametrize("day", ["2026-02-20", "2026-02-28", "2026-03-01"])
@pytest.mark.parametrize("aggregator, region", [("org", "eu-west-1"), ("security", "us-east-1")])
def test_a_run_commits_what_boto3_reads_page_by_page(nights_of_rules, small_simulator, aggregator, region, day):
    client = boto3.client("config", region_name=region, endpoint_url=f"{small_simulator.url}/{day}")
    read = []
    for item in rules(client, name=f"{aggregator}-aggregator"):
        count = item["Compliance"].get("ComplianceContributorCount", {})
        read.append((*key(item), kind(item), count.get("CappedCount"), count.get("CapExceeded")))
    rows = committed(nights_of_rules, day, aggregator)
    columns = ("account_id", "aws_region", "config_rule_name", "compliance_type", "contributor_count", "contributor_count_capped")
    assert [tuple(row[column] for column in columns) for row in rows] == sorted(read, key=lambda row: row[:3])
    assert len(read) > 2000 and {True, False, None} == {row[-1] for row in read}
    parts = [(row["rule_group"], row["conformance_pack_id"]) for row in rows]
    assert parts == [group_and_pack_id(row["config_rule_name"]) for row in rows]
    # Some of each kind of name, and many accounts' copies of one rule are one group.
    by_group = collections.Counter(group for group, _ in parts)
    assert {"OrgConfigRule-restricted-ssh", "securityhub-vpc-flow-logs-enabled", "Root account has MFA"} <= set(by_group)
    assert None in {pack_id for _, pack_id in parts} and len(by_group) < len({row["config_rule_name"] for row in rows}) / 10


def test_a_name_has_the_parts_that_its_pattern_says_however_it_is_put_together(tmp_path):
    beginnings = ("a", "é", "OrgConfigRule", "OrgConfigRule-", "OrgConfigRule-a", "securityhub-", "securityhub-a", "a-conformance-pack-ab12cd34e", "-")
    endings = ("", "-", "-ab12cd34", "-1a2b3c4d", "-1A2B3C4D", "-1a2b3c4", "-1a2b3c4d5", "-é1a2b3c",
               *(f"-conformance-pack-{pack_id}" for pack_id in ("", "ab12cd3", "ab12cd34", "ab12cd34e", "ab12cd34ef56", "ab12cd34ef56g", "AB12CD34E", "ab12-d34e", "é12cd34e")))
    names = {"".join(parts) for parts in itertools.product(beginnings, endings)}
    (tmp_path / "pipeline.toml").write_text(pipeline_text(tmp_path / "lake", rules=True))
    page = {"AggregateComplianceByConfigRules": [rule_item("000000000001", "eu-west-1", name, "COMPLIANT") for name in names]}
    (tmp_path / "page.json").write_text(json.dumps(page))
    subprocess.run([COMPLINE, "import", tmp_path / "pipeline.toml", "--aggregator", "org", "--dataset", "rules", "--date", "2026-03-01", tmp_path / "page.json"],
                   check=True, timeout=60, stdout=subprocess.DEVNULL)
    rows = {row["config_rule_name"]: (row["rule_group"], row["conformance_pack_id"]) for row in committed(tmp_path / "lake", "2026-03-01", "org")}
    assert rows == {name: group_and_pack_id(name) for name in names}
    assert {group_and_pack_id(name)[0] == name for name in names} == {True, False}
