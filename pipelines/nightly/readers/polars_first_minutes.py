"""The first five minutes with a lake: Polars. python polars_first_minutes.py LAKE AGGREGATOR [DAY]"""

import datetime
import sys

import polars as pl


def answers(lake, aggregator, until=None):
    until = until or datetime.datetime.now(datetime.timezone.utc).date()
    since = until - datetime.timedelta(days=60)  # so that few files are looked at, however old the lake is

    def scan(table):
        files = pl.scan_parquet(f"{lake}/{table}/*/*/*.parquet", hive_partitioning=True, hive_schema={"snapshot_date": pl.Date, "aggregator": pl.String})
        return files.filter(pl.col("aggregator") == aggregator, pl.col("snapshot_date").is_between(since, until))

    try:
        last = scan("compliance_trends").select(pl.col("snapshot_date").max()).collect().item()
    except pl.exceptions.ComputeError as error:  # of a lake of facts only
        if "paths were empty" not in str(error):
            raise
        last = None
    if last is None:
        raise SystemExit(f"{aggregator} has no trends from {since} to {until}: see compline status")
    month = last - datetime.timedelta(days=29)
    on_last = pl.col("snapshot_date") == last
    whole = scan("compliance_trends").filter(pl.col("dimension") == "aggregator")
    accounts = scan("compliance_trends").filter(on_last, pl.col("dimension") == "account", pl.col("pack_compliance_rate").is_not_null())
    days = pl.LazyFrame({"day": pl.date_range(month, last, eager=True)})
    by_day = whole.filter(pl.col("snapshot_date") >= month).select(day="snapshot_date", pack_compliance_rate="pack_compliance_rate")
    committed = scan("pack_compliance").select(pl.col("snapshot_date").max()).collect().item()
    # Later than the trends, if those wait.
    last_snapshot = pl.lit(max(committed or last, last), pl.Date).alias("last_snapshot")
    return {
        "now": whole.filter(on_last).select("snapshot_date", last_snapshot, "packs_total", "pack_compliance_rate", "pack_compliance_rate_change_7d").collect(),
        "by day": days.join(by_day, on="day", how="left").sort("day").collect(),
        "changes": scan("pack_changes").filter(on_last).group_by("change").agg(packs=pl.len()).sort("change").collect(),
        "worst": accounts.select("pack_compliance_rate", "packs_non_compliant", account_id="dimension_value")
            .sort("pack_compliance_rate", "packs_non_compliant", "account_id", descending=[False, True, False])
            .head(10).select("account_id", "pack_compliance_rate", "packs_non_compliant").collect(),
        "sources": scan("source_status").filter(on_last).group_by("status").agg(sources=pl.len()).sort("status").collect(),
    }


if __name__ == "__main__":
    pl.Config(tbl_rows=30, tbl_width_chars=80, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True)
    lake, aggregator, *day = sys.argv[1:4]
    for question, table in answers(lake, aggregator, *map(datetime.date.fromisoformat, day)).items():
        print(f"{question}\n{table}\n")
