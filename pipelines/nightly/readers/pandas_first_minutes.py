"""The first five minutes with a lake: pandas and PyArrow. python pandas_first_minutes.py LAKE AGGREGATOR [DAY]"""

import datetime
import sys

import pandas
import pyarrow
import pyarrow.dataset as dataset

PARTITIONS = dataset.partitioning(pyarrow.schema([("snapshot_date", pyarrow.date32()), ("aggregator", pyarrow.string())]), flavor="hive")


def answers(lake, aggregator, until=None):
    until = until or datetime.datetime.now(datetime.timezone.utc).date()
    since = until - datetime.timedelta(days=60)  # so that few files are looked at, however old the lake is

    def part(days):
        of_days = (dataset.field("snapshot_date") >= days[0]) & (dataset.field("snapshot_date") <= days[1])
        return (dataset.field("aggregator") == aggregator) & of_days

    def files(table):
        return dataset.dataset(f"{lake}/{table}", format="parquet", partitioning=PARTITIONS)

    def read(table, days, columns):
        return files(table).to_table(columns, filter=part(days)).to_pandas()

    def last_of(table):
        # Of the names of folders alone: no file is opened for it.
        fragments = files(table).get_fragments(part((since, until)))
        return max((dataset.get_partition_keys(fragment.partition_expression)["snapshot_date"] for fragment in fragments), default=None)

    try:
        last = last_of("compliance_trends")
    except FileNotFoundError:  # of a lake of facts only
        last = None
    if last is None:
        raise SystemExit(f"{aggregator} has no trends from {since} to {until}: see compline status")
    month = last - datetime.timedelta(days=29)

    trends = read("compliance_trends", (month, last), ["snapshot_date", "dimension", "dimension_value", "packs_total", "packs_non_compliant",
                                                       "pack_compliance_rate", "pack_compliance_rate_change_7d"])
    whole = trends[trends.dimension == "aggregator"].set_index("snapshot_date")
    now = whole.loc[[last], ["packs_total", "pack_compliance_rate", "pack_compliance_rate_change_7d"]]
    # Later than the trends, if those wait.
    now.insert(0, "last_snapshot", max(last, last_of("pack_compliance") or last))
    days = [month + datetime.timedelta(days=day) for day in range(30)]
    by_day = whole.pack_compliance_rate.reindex(days).rename_axis("day")
    changes = read("pack_changes", (last, last), ["change"]).change.value_counts().rename_axis("change").sort_index()
    accounts = trends[(trends.dimension == "account") & (trends.snapshot_date == last) & trends.pack_compliance_rate.notna()]
    worst = accounts.sort_values(["pack_compliance_rate", "packs_non_compliant", "dimension_value"], ascending=[True, False, True]).head(10)
    sources = read("source_status", (last, last), ["status"]).status.value_counts().rename_axis("status").sort_index()
    return {
        "now": now.reset_index(),
        "by day": by_day.reset_index(),
        "changes": changes.reset_index(name="packs"),
        "worst": worst[["dimension_value", "pack_compliance_rate", "packs_non_compliant"]].rename(columns={"dimension_value": "account_id"}),
        "sources": sources.reset_index(name="sources"),
    }


if __name__ == "__main__":
    pandas.set_option("display.width", 80)
    lake, aggregator, *day = sys.argv[1:4]
    for question, table in answers(lake, aggregator, *map(datetime.date.fromisoformat, day)).items():
        print(f"{question}\n{table.to_string(index=False)}\n")
