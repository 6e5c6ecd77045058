"""boto3 as it is reads the simulator through its own paginators."""

import collections

import pytest
from botocore.exceptions import ClientError

from conftest import comes_with_its_code_in_both_places, every_filter_gives_what_it_says, listed, overlap_and_agree

ORG = "org-aggregator"


def key(item):
    return item["AccountId"], item["AwsRegion"], item["ConformancePackName"]


def packs(client, **arguments):
    return listed(client, "describe_aggregate_compliance_by_conformance_packs", **arguments)


@pytest.fixture(scope="module")
def client(simulator):
    return simulator.client()


@pytest.fixture(scope="module")
def everything(client):
    return packs(client)


def test_all_pages_have_every_pack_once(client, everything):
    assert len(everything) > 500
    assert len({key(item) for item in everything}) == len(everything)
    for size in (1, 7, 100):
        some = packs(client, PaginationConfig={"PageSize": size, "MaxItems": 150})
        assert [key(item) for item in some] == [key(item) for item in everything[:150]]


@pytest.mark.parametrize("names", [("AccountId",), ("AwsRegion",), ("ConformancePackName",), ("ComplianceType",),
                                   ("AccountId", "AwsRegion"), ("AwsRegion", "ComplianceType"),
                                   ("AccountId", "AwsRegion", "ConformancePackName", "ComplianceType")])
def test_every_filter_gives_what_it_says(client, everything, names):
    examples = (everything[0], everything[len(everything) // 2], everything[-1])
    every_filter_gives_what_it_says(everything, examples, names, lambda filters: packs(client, Filters=filters))


def test_a_filter_that_nothing_fits_gives_an_empty_list(client):
    assert packs(client, Filters={"AccountId": "999999999999"}) == []
    assert packs(client, Filters={"AwsRegion": "eu-south-2"}) == []


def test_the_answers_are_sound(everything):
    kinds = collections.Counter()
    for item in everything:
        compliance = item["Compliance"]
        kinds[compliance["ComplianceType"]] += 1
        assert len(item["AccountId"]) == 12 and item["ConformancePackName"].isascii()
        counted = compliance["CompliantRuleCount"] + compliance["NonCompliantRuleCount"]
        assert 0 <= counted <= compliance["TotalRuleCount"]
        assert (compliance["NonCompliantRuleCount"] > 0) == (compliance["ComplianceType"] == "NON_COMPLIANT")
    assert set(kinds) == {"COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"}
    assert any(item["AccountId"].startswith("000000") for item in everything)
    assert any(item["ConformancePackName"].startswith("OrgConformsPack-") for item in everything)


@pytest.mark.parametrize("group, name", [("ACCOUNT_ID", "AccountId"), ("AWS_REGION", "AwsRegion")])
def test_the_summary_agrees_with_the_packs(client, everything, group, name):
    found, token = {}, {}
    while token is not None:
        # boto3 has no paginator for this operation.
        page = client.get_aggregate_conformance_pack_compliance_summary(
            ConfigurationAggregatorName=ORG, GroupByKey=group, Limit=3, **token
        )
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        assert page["GroupByKey"] == group
        for item in page["AggregateConformancePackComplianceSummaries"]:
            counts = item["ComplianceSummary"]
            found[item["GroupName"]] = counts["CompliantConformancePackCount"], counts["NonCompliantConformancePackCount"]
    expected = collections.defaultdict(lambda: [0, 0])
    for item in everything:
        kind = item["Compliance"]["ComplianceType"]
        expected[item[name]][0] += kind == "COMPLIANT"
        expected[item[name]][1] += kind == "NON_COMPLIANT"
    assert found == {group: tuple(counts) for group, counts in expected.items()}


def test_the_sources_are_those_of_the_packs(client, everything):
    pages = client.get_paginator("describe_configuration_aggregator_sources_status").paginate(ConfigurationAggregatorName=ORG)
    sources = [source for page in pages for source in page["AggregatedSourceStatusList"]]
    places = {(source["SourceId"], source["AwsRegion"]) for source in sources}
    assert {(item["AccountId"], item["AwsRegion"]) for item in everything} <= places
    for status in ("SUCCEEDED", "OUTDATED", "FAILED"):
        answer = client.describe_configuration_aggregator_sources_status(ConfigurationAggregatorName=ORG, UpdateStatus=[status], Limit=100)
        expected = [source["SourceId"] for source in sources if source["LastUpdateStatus"] == status][:100]
        assert [source["SourceId"] for source in answer["AggregatedSourceStatusList"]] == expected


def test_aggregators_are_listed_in_their_own_region_with_one_kind_of_source(simulator):
    def aggregators(region):
        pages = simulator.client(region).get_paginator("describe_configuration_aggregators").paginate()
        return [aggregator for page in pages for aggregator in page["ConfigurationAggregators"]]

    (org,), (security,) = aggregators("eu-west-1"), aggregators("us-east-1")
    assert org["ConfigurationAggregatorName"] == ORG and "AccountAggregationSources" not in org
    assert security["ConfigurationAggregatorName"] == "security-aggregator"
    assert "OrganizationAggregationSource" not in security
    assert aggregators("eu-north-1") == []


def test_two_aggregators_overlap_and_agree(simulator, everything):
    overlap_and_agree(everything, packs(simulator.client("us-east-1"), name="security-aggregator"), key)


@pytest.mark.parametrize("code, arguments", [
    ("NoSuchConfigurationAggregatorException", {"ConfigurationAggregatorName": "none"}),
    ("InvalidLimitException", {"Limit": 101}),
    ("InvalidNextTokenException", {"NextToken": "made-up"}),
    ("ValidationException", {"Filters": {"ConformancePackName": "1-starts-with-a-digit"}}),
    ("ValidationException", {"Filters": {"ComplianceType": "compliant"}}),
    ("ValidationException", {"Filters": {"AccountId": "1"}}),
    ("ValidationException", {"ConfigurationAggregatorName": "a b"}),
])
def test_the_four_exceptions_come_with_their_code_in_both_places(client, code, arguments):
    arguments = {"ConfigurationAggregatorName": ORG, **arguments}
    comes_with_its_code_in_both_places(lambda: client.describe_aggregate_compliance_by_conformance_packs(**arguments), code)


def test_a_token_is_good_for_its_own_query_only(client):
    first = client.describe_aggregate_compliance_by_conformance_packs(ConfigurationAggregatorName=ORG, Limit=10)
    with pytest.raises(client.exceptions.InvalidNextTokenException):
        client.describe_aggregate_compliance_by_conformance_packs(
            ConfigurationAggregatorName=ORG, NextToken=first["NextToken"], Filters={"AwsRegion": "eu-west-1"}
        )


def test_another_day_is_another_path(simulator):
    import boto3

    days = [
        packs(boto3.client("config", region_name="eu-west-1", endpoint_url=f"{simulator.url}{path}"))
        for path in ("", "/2026-03-01", "/2026-02-01")
    ]
    assert days[0] == days[1] != days[2]


def test_faults_are_seen_by_any_client(faulty_simulator):
    client = faulty_simulator("error_every=2").client()
    client.describe_configuration_aggregators()
    with pytest.raises(ClientError) as raised:
        client.describe_configuration_aggregators()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500

    client = faulty_simulator("throttle_per_second=0.01", "throttle_burst=1").client()
    client.describe_configuration_aggregators()
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.describe_configuration_aggregators()
