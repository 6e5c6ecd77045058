"""The first five minutes with a lake: Spark. python spark_first_minutes.py LAKE AGGREGATOR [DAY]; on S3 the address begins with s3a://."""

import datetime
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from pyspark.errors import AnalysisException


def answers(spark, lake, aggregator, until=None):
    until = until or datetime.datetime.now(datetime.timezone.utc).date()
    since = until - datetime.timedelta(days=60)  # so that few files are looked at, however old the lake is

    def read(table):
        return spark.read.parquet(f"{lake}/{table}").filter((f.col("aggregator") == aggregator) & f.col("snapshot_date").between(since, until))

    try:
        last = read("compliance_trends").agg(f.max("snapshot_date")).first()[0]
    except AnalysisException as error:  # of a lake of facts only
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
        last = None
    if last is None:
        raise SystemExit(f"{aggregator} has no trends from {since} to {until}: see compline status")
    on_last = f.col("snapshot_date") == last
    whole = read("compliance_trends").filter(f.col("dimension") == "aggregator")
    accounts = read("compliance_trends").filter(on_last & (f.col("dimension") == "account") & f.col("pack_compliance_rate").isNotNull())
    days = spark.sql(f"SELECT explode(sequence(date_sub(DATE '{last}', 29), DATE '{last}')) AS day")
    by_day = whole.select(f.col("snapshot_date").alias("day"), "pack_compliance_rate")
    committed = read("pack_compliance").agg(f.max("snapshot_date")).first()[0]
    # Later than the trends, if those wait.
    last_snapshot = f.lit(max(committed or last, last)).alias("last_snapshot")
    return {
        "now": whole.filter(on_last).select("snapshot_date", last_snapshot, "packs_total", "pack_compliance_rate", "pack_compliance_rate_change_7d"),
        "by day": days.join(by_day, "day", "left").orderBy("day"),
        "changes": read("pack_changes").filter(on_last).groupBy("change").agg(f.count("*").alias("packs")).orderBy("change"),
        "worst": accounts.select(f.col("dimension_value").alias("account_id"), "pack_compliance_rate", "packs_non_compliant")
            .orderBy("pack_compliance_rate", f.desc("packs_non_compliant"), "account_id").limit(10),
        "sources": read("source_status").filter(on_last).groupBy("status").agg(f.count("*").alias("sources")).orderBy("status"),
    }


if __name__ == "__main__":
    lake, aggregator, *day = sys.argv[1:4]
    for question, table in answers(SparkSession.builder.getOrCreate(), lake, aggregator, *map(datetime.date.fromisoformat, day)).items():
        print(question)
        table.show(30)
