"""The first five minutes with a lake: pandas and PyArrow. python pandas_first_minutes.py LAKE AGGREGATOR"""

import datetime
import sys

import pandas
import pyarrow
import pyarrow.dataset as dataset

PARTITIONS = dataset.partitioning(pyarrow.schema([("snapshot_date", pyarrow.date32()), ("aggregator", pyarrow.string())]), flavor="hive")


def answers(lake, aggregator):
    def read(table, days, columns):
        files = dataset.dataset(f"{lake}/{table}", format="parquet", partitioning=PARTITIONS)
        wanted = (dataset.field("aggregator") == aggregator) & (dataset.field("snapshot_date") >= days[0]) & (dataset.field("snapshot_date") <= days[1])
        return files.to_table(columns, filter=wanted).to_pandas()

    # Of the names of folders alone: no file is opened for it.
    fragments = dataset.dataset(f"{lake}/compliance_trends", format="parquet", partitioning=PARTITIONS).get_fragments()
    keys = [dataset.get_partition_keys(fragment.partition_expression) for fragment in fragments]
    last = max(key["snapshot_date"] for key in keys if key["aggregator"] == aggregator)
    month = last - datetime.timedelta(days=29)

    trends = read("compliance_trends", (month, last), ["snapshot_date", "dimension", "dimension_value", "packs_total", "packs_non_compliant",
                                                       "pack_compliance_rate", "pack_compliance_rate_change_7d"])
    whole = trends[trends.dimension == "aggregator"].set_index("snapshot_date")
    now = whole.loc[[last], ["packs_total", "pack_compliance_rate", "pack_compliance_rate_change_7d"]]
    days = [month + datetime.timedelta(days=day) for day in range(30)]
    by_day = whole.pack_compliance_rate.reindex(days).rename_axis("day")
    changes = read("pack_changes", (last, last), ["change"]).change.value_counts().rename_axis("change").sort_index()
    accounts = trends[(trends.dimension == "account") & (trends.snapshot_date == last) & trends.pack_compliance_rate.notna()]
    worst = accounts.sort_values(["pack_compliance_rate", "packs_non_compliant", "dimension_value"], ascending=[True, False, True]).head(10)
    sources = read("source_status", (last, last), ["status"]).status.value_counts().rename_axis("status").sort_index()
    return {
        "now": now.reset_index(drop=True),
        "by day": by_day.reset_index(),
        "changes": changes.reset_index(name="packs"),
        "worst": worst[["dimension_value", "pack_compliance_rate", "packs_non_compliant"]].rename(columns={"dimension_value": "account_id"}),
        "sources": sources.reset_index(name="sources"),
    }


if __name__ == "__main__":
    pandas.set_option("display.width", 80)
    for question, table in answers(*sys.argv[1:3]).items():
        print(f"{question}\n{table.to_string(index=False)}\n")
