"""The lake as Spark finds it: partitions by the names of folders, types by the files."""

import pyarrow.dataset as dataset
import pytest
from pyspark.sql import functions as f

from conftest import TABLES

TYPES = {"string": "string", "int32": "int", "int64": "bigint", "double": "double", "bool": "boolean", "date32[day]": "date",
         "timestamp[ms, tz=UTC]": "timestamp"}


@pytest.mark.parametrize("table", TABLES)
def test_partitions_types_and_rows_are_those_of_the_files(spark, lake, table):
    found = spark.read.parquet(str(lake / table))
    schema = dataset.dataset(sorted(lake.glob(f"{table}/*/*/*.parquet"))).schema
    expected = [(field.name, TYPES[str(field.type)]) for field in schema]
    assert found.dtypes == [*expected, ("snapshot_date", "date"), ("aggregator", "string")]
    rows = {(str(row.snapshot_date), row.aggregator): row["count"] for row in found.groupBy("snapshot_date", "aggregator").count().collect()}
    kept = {}
    for file in lake.glob(f"{table}/*/*/*.parquet"):
        day, aggregator = (part.name.split("=")[1] for part in (file.parent.parent, file.parent))
        kept[day, aggregator] = dataset.dataset(file).count_rows()
    assert rows == {partition: count for partition, count in kept.items() if count > 0} and rows


@pytest.mark.parametrize("facts", ["pack_compliance", "rule_compliance"])
def test_account_ids_keep_their_zeros_and_a_day_is_read_alone(spark, lake, facts):
    facts = spark.read.parquet(str(lake / facts))
    assert facts.filter(~f.col("account_id").rlike("^[0-9]{12}$")).count() == 0
    assert facts.filter(f.col("account_id").startswith("0")).count() > 0
    day = facts.agg(f.max("snapshot_date")).first()[0]
    plan = facts.filter(f.col("snapshot_date") == day)._jdf.queryExecution().executedPlan().toString()
    assert "PartitionFilters: [isnotnull(snapshot_date" in plan, plan
