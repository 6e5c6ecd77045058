"""The first five minutes with a lake: Spark. python spark_first_minutes.py LAKE AGGREGATOR; on S3 the address begins with s3a://."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def answers(spark, lake, aggregator):
    def read(table):
        return spark.read.parquet(f"{lake}/{table}").filter(f.col("aggregator") == aggregator)

    last = read("compliance_trends").agg(f.max("snapshot_date")).first()[0]
    on_last = f.col("snapshot_date") == last
    whole = read("compliance_trends").filter(f.col("dimension") == "aggregator")
    accounts = read("compliance_trends").filter(on_last & (f.col("dimension") == "account") & f.col("pack_compliance_rate").isNotNull())
    days = spark.sql(f"SELECT explode(sequence(date_sub(DATE '{last}', 29), DATE '{last}')) AS day")
    by_day = whole.select(f.col("snapshot_date").alias("day"), "pack_compliance_rate")
    return {
        "now": whole.filter(on_last).select("packs_total", "pack_compliance_rate", "pack_compliance_rate_change_7d"),
        "by day": days.join(by_day, "day", "left").orderBy("day"),
        "changes": read("pack_changes").filter(on_last).groupBy("change").agg(f.count("*").alias("packs")).orderBy("change"),
        "worst": accounts.select(f.col("dimension_value").alias("account_id"), "pack_compliance_rate", "packs_non_compliant")
            .orderBy("pack_compliance_rate", f.desc("packs_non_compliant"), "account_id").limit(10),
        "sources": read("source_status").filter(on_last).groupBy("status").agg(f.count("*").alias("sources")).orderBy("status"),
    }


if __name__ == "__main__":
    for question, table in answers(SparkSession.builder.getOrCreate(), *sys.argv[1:3]).items():
        print(question)
        table.show(30)
