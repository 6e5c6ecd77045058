"""The job of a night as a careful engineer writes it with boto3 and pyarrow: sources, packs by region, one sorted file a table.

    with_boto3.py URL FOLDER DATE
"""

import datetime
import os
import pathlib
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.config import Config

AGGREGATOR = "org-aggregator"
# Parsing is bound by the interpreter's lock, so more threads than this take longer.
THREADS = int(os.environ.get("THREADS", 8))
UTC_MS = pa.timestamp("ms", "UTC")
KEY = ["account_id", "aws_region", "conformance_pack_name"]


def pages(operation, name, **arguments):
    """Each page's list and the time that it came, until there is no token."""
    token, seen = {}, set()
    while True:
        answer = operation(ConfigurationAggregatorName=AGGREGATOR, **arguments, **token)
        yield answer[name], datetime.datetime.now(datetime.timezone.utc)
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}
        if answer["NextToken"] in seen:
            raise RuntimeError("a token came twice")
        seen.add(answer["NextToken"])


def read_sources(config):
    columns = {name: [] for name in ("SourceId", "SourceType", "AwsRegion", "LastUpdateStatus", "LastUpdateTime", "LastErrorCode", "LastErrorMessage")}
    for sources, _ in pages(config.describe_configuration_aggregator_sources_status, "AggregatedSourceStatusList"):
        for name, values in columns.items():
            values += [source.get(name) for source in sources]
    values = columns.values()
    names = ["source_id", "source_type", "aws_region", "status", "last_update_time", "error_code", "error_message"]
    return pa.table([pa.array(column, UTC_MS if name == "last_update_time" else pa.string()) for name, column in zip(names, values)], names)


def read_packs(config, region):
    """The packs of a region, a batch of each page: dicts are let go of as soon as they are columns."""
    batches = []
    for packs, collected_at in pages(config.describe_aggregate_compliance_by_conformance_packs, "AggregateComplianceByConformancePacks",
                                     Filters={"AwsRegion": region}):
        compliance = [pack.get("Compliance", {}) for pack in packs]
        batches.append(pa.record_batch({
            "account_id": pa.array([pack["AccountId"] for pack in packs], pa.string()),
            "aws_region": pa.array([pack["AwsRegion"] for pack in packs], pa.string()),
            "conformance_pack_name": pa.array([pack["ConformancePackName"] for pack in packs], pa.string()),
            "compliance_type": pa.array([one.get("ComplianceType") for one in compliance], pa.string()),
            "compliant_rule_count": pa.array([one.get("CompliantRuleCount") for one in compliance], pa.int32()),
            "non_compliant_rule_count": pa.array([one.get("NonCompliantRuleCount") for one in compliance], pa.int32()),
            "total_rule_count": pa.array([one.get("TotalRuleCount") for one in compliance], pa.int32()),
            "collected_at": pa.repeat(pa.scalar(collected_at, UTC_MS), len(packs)),
        }))
    return batches


def with_derived(packs, sources, run_id):
    """The columns of pack_compliance, sorted by its key."""
    states = sources.select(["source_id", "aws_region", "status", "last_update_time"]).rename_columns(
        ["account_id", "aws_region", "source_status", "source_updated_at"])
    packs = packs.join(states, ["account_id", "aws_region"]).sort_by([(name, "ascending") for name in KEY])
    name, compliant, non_compliant = (packs[column] for column in (KEY[2], "compliant_rule_count", "non_compliant_rule_count"))
    group = pc.replace_substring_regex(name, r"^OrgConformsPack-(.+)-[a-z0-9]{8}$", r"\1")
    counted = pc.cast(pc.add(compliant, non_compliant), pa.float64())
    return pa.table({
        **{column: packs[column] for column in KEY},
        "pack_group": group,
        "is_organization_pack": pc.not_equal(group, name),
        **{column: packs[column] for column in ("compliance_type", "compliant_rule_count", "non_compliant_rule_count")},
        "insufficient_data_rule_count": pc.subtract(pc.subtract(packs["total_rule_count"], compliant), non_compliant),
        "total_rule_count": packs["total_rule_count"],
        "rule_compliance_rate": pc.if_else(pc.greater(counted, 0), pc.divide(compliant, counted), None),
        **{column: packs[column] for column in ("source_status", "source_updated_at", "collected_at")},
        "run_id": pa.repeat(run_id, len(packs)),
    })


def write(table, folder, name, date):
    """One object of each partition, which is there whole or not at all."""
    path = folder / name / f"snapshot_date={date}" / "aggregator=org" / "data.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path.with_suffix(".part"), compression="zstd", store_schema=False)
    path.with_suffix(".part").rename(path)


def main(url, folder, date):
    run_id = str(uuid.uuid4())
    config = boto3.client("config", region_name="eu-west-1", endpoint_url=url, config=Config(
        retries={"mode": "adaptive", "max_attempts": 10}, max_pool_connections=THREADS, read_timeout=60))
    sources = read_sources(config)
    sources_at = datetime.datetime.now(datetime.timezone.utc)
    regions = sorted(pc.unique(sources["aws_region"]).to_pylist())
    # A client is safe to share between threads, and making one takes a tenth of a second.
    with ThreadPoolExecutor(THREADS) as threads:
        batches = [batch for batches in threads.map(lambda region: read_packs(config, region), regions) for batch in batches]
    packs = pa.Table.from_batches(batches)
    del batches
    write(with_derived(packs, sources, run_id), folder, "pack_compliance", date)
    sources = sources.append_column("collected_at", pa.repeat(pa.scalar(sources_at, UTC_MS), len(sources)))
    sources = sources.append_column("run_id", pa.repeat(run_id, len(sources)))
    write(sources.sort_by([("source_id", "ascending"), ("aws_region", "ascending")]), folder, "source_status", date)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])
