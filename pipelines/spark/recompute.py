"""The trend tables of any days, computed from the snapshots of a lake in one pass, on Spark 3.5 or later.

    spark-submit recompute.py --lake s3://bucket/compline --out s3://bucket/recomputed --from 2021-01-01 --to 2025-12-31

What it writes is, cell for cell, what `compline trends` writes: pipelines/spark/README.md says when it pays.

A day's trends follow from every snapshot since its population began (docs/tables.md), however narrow the range of days. So
those snapshots are read, from a day's own file or from its month's, and no trend table is.
"""

import argparse
import datetime
import json
import pathlib
import sys
import tempfile
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f

# As crates/model has them; a test holds them against files of Compline.
SCHEMA_VERSION = 5
ROW_GROUP_ROWS = 32768
CRC_ZEROS = "00000000"
STATUS_DAYS = 400
WINDOWS = (7, 30, 90)
REMEDIATION_WINDOWS = (30, 90)

KEY = ("account_id", "aws_region", "conformance_pack_name")
COUNTS = ("compliant_rule_count", "non_compliant_rule_count", "insufficient_data_rule_count", "total_rule_count")
FACTS = ("snapshot_date date, aggregator string, account_id string, aws_region string, conformance_pack_name string, pack_group string, "
         "compliance_type string, " + ", ".join(f"{name} int" for name in COUNTS))
LEDGER = ("snapshot_date date, aggregator string, outcome string, commit_number bigint, finished_at timestamp, rows bigint, "
          "snapshot_sha256 string, population string, facts_only boolean, dataset string")


@dataclass
class Table:
    """A table's columns as (name, type, whether it may be null), in the order of its files, and what its rows are sorted by."""

    columns: list
    sort_key: tuple


def table(sort_key, *columns):
    """Columns as `name type`, with a question mark where they may be null."""
    split = [column.rstrip("?").split() + [column.endswith("?")] for column in columns]
    return Table([tuple(column) for column in split], sort_key)


TABLES = {
    "pack_changes": table(
        KEY, "account_id string", "aws_region string", "conformance_pack_name string", "pack_group string", "change string",
        "from_type string?", "to_type string?", "days_in_previous_status int?", "previous_snapshot_date date"),
    "compliance_trends": table(
        ("dimension", "dimension_value"), "dimension string", "dimension_value string",
        *(f"packs_{name} int" for name in ("total", "compliant", "non_compliant", "insufficient_data", "unknown")),
        *(f"rules_{name} bigint" for name in ("compliant", "non_compliant", "insufficient_data", "total")),
        "pack_compliance_rate double?", "rule_compliance_rate double?", "previous_snapshot_date date?",
        *(f"packs_{name} int?" for name in ("added", "removed", "reappeared", "regressed", "remediated")), "remediation_days bigint?",
        *(column for n in WINDOWS for column in (
            f"pack_compliance_rate_change_{n}d double?", f"rule_compliance_rate_change_{n}d double?",
            f"pack_compliance_rate_mean_{n}d double?", f"rule_compliance_rate_mean_{n}d double?", f"days_observed_{n}d int")),
        *(column for n in REMEDIATION_WINDOWS for column in (f"remediations_{n}d bigint", f"mean_days_to_remediate_{n}d double?")),
        "open_non_compliant_packs int", "open_non_compliant_median_days double?", "open_non_compliant_max_days int?", "population_since date?"),
    # Last, since a day that has its state is complete.
    "pack_status": table(
        KEY, "account_id string", "aws_region string", "conformance_pack_name string", "pack_group string", "compliance_type string?",
        "previous_compliance_type string?", "status_since date", "days_in_status int", "first_seen_date date", "last_seen_date date",
        "is_present boolean", "change_count int"),
}
# A column that may not be null is written as such only if Spark can tell, so it is given what to put where it were.
NEVER = {"string": "''", "int": "0", "bigint": "0L", "boolean": "false", "date": "date'1970-01-01'"}


@dataclass
class Day:
    """A snapshot. Those of one population are a history; `at` counts them. Days are days since 1970."""

    history: int
    aggregator: str
    snapshot_date: datetime.date
    at: int
    day: int
    rows: int
    source: str  # the table that has it
    is_wanted: bool = False
    since: int = None  # the first of the history
    previous: int = None
    following: int = None
    until: int = None  # the last that remembers a pack that this one saw last
    baseline_7: int = None
    baseline_30: int = None
    baseline_90: int = None


DAY = ("history int, aggregator string, snapshot_date date, at int, day int, rows bigint, source string, is_wanted boolean, since int, "
       "previous int, following int, until int, baseline_7 int, baseline_30 int, baseline_90 int")


class Refused(Exception):
    """Something that a person has to see to first."""


def main(arguments):
    options = parsed(arguments)
    spark = SparkSession.builder.appName("compline-recompute").getOrCreate()
    # Days are dates of UTC, and no time of the ledger is shown.
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        recompute(spark, options)
    except Refused as why:
        sys.exit(f"recompute.py: {why}")


def parsed(arguments):
    def names(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--lake", required=True, metavar="URL", help="the lake: a folder, or s3://bucket/prefix (s3a:// outside Glue and EMR)")
    parser.add_argument("--out", metavar="URL", help="another lake root, to which the tables are written")
    parser.add_argument("--in-place", action="store_true", help="write into the lake itself, while no run of Compline is going on")
    parser.add_argument("--from", dest="first", type=datetime.date.fromisoformat, default=datetime.date.min, metavar="YYYY-MM-DD",
                        help="the first day, the first snapshot unless given")
    parser.add_argument("--to", dest="last", type=datetime.date.fromisoformat, default=datetime.date.max, metavar="YYYY-MM-DD",
                        help="the last day, the last snapshot unless given")
    parser.add_argument("--aggregator", action="extend", type=names, metavar="ID,...", help="only these; may be given more than once")
    parser.add_argument("--tables", type=names, default=list(TABLES), metavar="TABLE,...", help="only these tables")
    options, others = parser.parse_known_args(arguments)
    # Glue adds arguments of its own.
    if others and "--JOB_NAME" not in arguments:
        parser.error(f"unknown arguments: {' '.join(others)}")
    if set(options.tables) - set(TABLES):
        parser.error(f"--tables: there are {', '.join(TABLES)}")
    options.lake = options.lake.rstrip("/")
    options.out = (options.out or "").rstrip("/")
    if options.in_place == bool(options.out):
        parser.error("say where to: --out URL, or --in-place for the lake itself")
    if options.out == options.lake:
        parser.error("--out is the lake itself: say --in-place if that is meant")
    options.out = options.out or options.lake
    return options


def recompute(spark, options):
    files = Files(spark)
    days = list(histories(spark, files, options))
    if not any(day.is_wanted for day in days):
        raise Refused("there is no snapshot in that range that has trends")
    calendar = spark.createDataFrame([astuple(day) for day in days], DAY)
    facts = snapshots(spark, options.lake, days, f.broadcast(calendar))
    # Some 30 MB of a shuffle each.
    tasks = max(spark.sparkContext.defaultParallelism, sum(day.rows or 0 for day in days) // 500_000)
    spark.conf.set("spark.sql.shuffle.partitions", tasks)
    check_rows(facts, days)

    # Read by three tables, and costly: as much of it as the range needs is stored.
    wanted = [day for day in days if day.is_wanted]
    first = min(day.day for day in wanted)
    seen = packs_seen(facts).where(f.col("last_day") >= first - 2 * max(WINDOWS)).persist(StorageLevel.MEMORY_AND_DISK)
    moves = moved(seen)
    computed = {
        "pack_changes": lambda: pack_changes(moves, f.broadcast(calendar)),
        "compliance_trends": lambda: compliance_trends(totals(moves, f.broadcast(calendar), first), f.broadcast(calendar)),
        "pack_status": lambda: pack_status(seen, f.broadcast(calendar)),
    }
    # Hidden from every reader of a lake, as all names with an underscore in front.
    scratch = f"{options.out}/_recompute/{spark.sparkContext.applicationId}"
    try:
        for name in (name for name in TABLES if name in options.tables):
            written = Written(files, f"{scratch}/{name}", TABLES[name])
            written.write(computed[name](), min(len(wanted), 4 * tasks))
            written.publish(options.out, name, wanted)
            print(f"{name}: {len(wanted)} partitions", flush=True)
    finally:
        files.remove(scratch)
        seen.unpersist()


# Which days there are.


def histories(spark, files, options):
    """The snapshots that the days of the range follow from, those of each population in order."""
    def keys(name, period):
        found = [parts(path) for path in files.under(f"{options.lake}/{name}") if path.endswith("/data.parquet")]
        return {(part["aggregator"], part[period]) for part in found}

    own, months, ledgers = (keys(*of) for of in (("pack_compliance", "snapshot_date"), ("pack_compliance_monthly", "snapshot_month"),
                                                 ("runs", "snapshot_date")))
    chosen = aggregators(options, {aggregator for aggregator, _ in own | ledgers})
    for aggregator in chosen:
        check_idle(files, options, aggregator)
    commits = last_commits(spark, options.lake, chosen)
    number = 0
    for aggregator in chosen:
        history, before = [], None
        for date in sorted({date for of, date in own | set(commits) if of == aggregator}):
            if (aggregator, date) not in ledgers:
                raise Refused(f"runs of {date} of {aggregator} is not there, which says of which population the snapshot is: "
                              "`compline verify FILE --repair` makes it again")
            now = commits.get((aggregator, date))
            # One that an older ledger does not say is taken for that of the days beside it.
            population = now and now.population
            facts_only = population is not None and now.facts_only
            if facts_only or (None not in (before, population) and before != population):
                yield from of_range(history, options)
                history, number = [], number + 1
            before = population
            if not facts_only:
                day = datetime.date.fromisoformat(date)
                source = ("pack_compliance" if (aggregator, date) in own
                          else "pack_compliance_monthly" if (aggregator, date[:7]) in months else None)
                history.append(Day(number, aggregator, day, len(history), days_since_1970(day), now and now.rows, source))
        yield from of_range(history, options)
        number += 1


def aggregators(options, known):
    unknown = set(options.aggregator or ()) - known
    if unknown or not known:
        there = ", ".join(sorted(known)) or "none"
        raise Refused(f"{options.lake} has no snapshot of {', '.join(sorted(unknown)) or 'any aggregator'}: it has {there}")
    return sorted(set(options.aggregator or known))


def check_idle(files, options, aggregator):
    """A snapshot that is being replaced is neither the one nor the other, and what Compline writes must not be replaced by us."""
    found = files.under(f"{options.lake}/_compline/journal/aggregator={aggregator}")
    if options.in_place:
        # On S3 a lease that was released stays, and says so.
        found += [path for path in files.under(f"{options.lake}/_compline/lease")
                  if path.endswith(f"aggregator={aggregator}.json") and not json.loads(files.text(path)).get("released")]
    if found:
        raise Refused(f"a run of {aggregator} is going on, or was stopped ({found[0]}): wait for it, or complete it with `compline trends FILE`")


def days_since_1970(date):
    return date.toordinal() - datetime.date(1970, 1, 1).toordinal()


def parts(path):
    """The partition of a file, by the names of its folders."""
    return dict(part.split("=", 1) for part in path.split("/") if "=" in part)


def last_commits(spark, lake, aggregators):
    """The row of the run that committed a day last, by aggregator and day (crates/compline/src/ledger.rs)."""
    rows = spark.read.schema(LEDGER).parquet(f"{lake}/runs").where(f.col("aggregator").isin(aggregators))
    # Those of rules are of another history; older ledgers have packs alone.
    rows = rows.where(f.coalesce("dataset", f.lit("packs")) == "packs").collect()
    commits = {}
    for row in sorted(rows, key=lambda row: (row.commit_number is not None, row.commit_number or 0, row.finished_at)):
        replaced = row.commit_number is not None or row.snapshot_sha256 is not None or row.rows > 0
        if row.outcome == "succeeded" or (row.outcome == "failed" and replaced):
            commits[row.aggregator, str(row.snapshot_date)] = row
    return commits


def of_range(history, options):
    """The days of a history up to the end of the range, if one of them is in it."""
    history = [day for day in history if day.snapshot_date <= options.last]
    for day in history:
        day.is_wanted = day.snapshot_date >= options.first
    if not any(day.is_wanted for day in history):
        return []
    for day in history:
        if day.source is None:
            raise Refused(f"pack_compliance of {day.snapshot_date} of {day.aggregator} is neither there nor in its month's file, and the ledger "
                          "says that it was committed: restore it")
        of = [other.day for other in history]
        day.since, day.until = of[0], max(at for at, other in enumerate(of) if other <= day.day + STATUS_DAYS)
        day.previous = of[day.at - 1] if day.at else None
        day.following = of[day.at + 1] if day.at + 1 < len(of) else None
        day.baseline_7, day.baseline_30, day.baseline_90 = (
            max((other for other in of if day.day - 2 * n < other <= day.day - n), default=None) for n in WINDOWS)
    return history


def snapshots(spark, lake, days, calendar):
    """The rows of these snapshots, each with what the calendar says of its day."""
    def of(source):
        dates = [day.snapshot_date for day in days if day.source == source]
        rows = spark.read.schema(FACTS).parquet(f"{lake}/{source}").where(f.col("snapshot_date").between(min(dates), max(dates)))
        # Without the month that a month's file is of.
        rows = rows.select("snapshot_date", "aggregator", *KEY, "pack_group", "compliance_type", *COUNTS)
        return rows.join(calendar.where(f.col("source") == source), ["aggregator", "snapshot_date"])

    # A day that has a file of its own is read from that, whatever its month has.
    return reduce(DataFrame.unionByName, [of(source) for source in sorted({day.source for day in days})])


def check_rows(facts, days):
    """Holds the rows of each day against what the ledger counts: a month's file may lack a day."""
    found = {(row.history, row.at): row["count"] for row in facts.groupBy("history", "at").count().collect()}
    for day in days:
        rows = found.get((day.history, day.at), 0)
        if day.rows is not None and rows != day.rows:
            raise Refused(f"pack_compliance of {day.snapshot_date} of {day.aggregator} has {rows} rows, and the ledger says that {day.rows} "
                          "were committed: `compline verify FILE` says what to do")


# What the days say.


def packs_seen(facts):
    """A row for each pack and snapshot that has it, with its status then, what changed, and the day up to which that is remembered."""
    pack = Window.partitionBy("history", *KEY).orderBy("at")
    so_far = pack.rowsBetween(Window.unboundedPreceding, Window.currentRow)

    def last_where(condition, value):
        return f.last(f.when(condition, value), ignorenulls=True).over(so_far)

    is_first, was_present, other_type = f.col("is_first"), f.col("was_present"), f.col("other_type")
    kind, kind_before = f.col("compliance_type"), f.col("type_before")
    # By account, so that most of what is added up afterwards is where it is added up.
    facts = facts.repartition("history", "account_id")
    return (
        facts.select("history", "aggregator", "at", "day", "previous", "following", "until", "since", *KEY, "pack_group", "compliance_type", *COUNTS,
                     f.lag("at").over(pack).alias("at_before"), f.lag("day").over(pack).alias("day_before"),
                     f.lag("compliance_type").over(pack).alias("type_before"), f.lead("at").over(pack).alias("at_after"))
        # A pack that the snapshot before had last seen more than 400 days before is forgotten: it begins anew.
        .withColumn("is_first", f.col("at_before").isNull() | (f.col("previous") - f.col("day_before") > STATUS_DAYS))
        .withColumn("was_present", ~is_first & (f.col("at_before") == f.col("at") - 1))
        .withColumn("other_type", ~is_first & ~kind.eqNullSafe(kind_before))
        .withColumn("type_before", f.when(~is_first, kind_before))
        .withColumn("status_since", last_where(is_first | ~was_present | other_type, f.col("day")))
        .withColumn("first_seen", last_where(is_first, f.col("day")))
        # A struct, since the type may be null where that is the answer.
        .withColumn("previous_type", last_where(is_first | other_type, f.struct("type_before"))["type_before"])
        .withColumn("changes", f.count(f.when(was_present & other_type, 1)).over(so_far))
        .withColumn("change_count", f.col("changes") - last_where(is_first, f.col("changes")))
        .withColumn("since_before", f.when(~is_first, f.lag("status_since").over(pack)))
        .withColumn("change",
                    f.when(f.col("previous").isNull(), None)
                    .when(is_first, "added")
                    .when(~was_present, "reappeared")
                    .when(~other_type, None)
                    .when((kind_before == "COMPLIANT") & (kind == "NON_COMPLIANT"), "regressed")
                    .when((kind_before == "NON_COMPLIANT") & (kind == "COMPLIANT"), "remediated")
                    .otherwise("changed"))
        .withColumn("last_at", f.least(f.col("until"), f.coalesce(f.col("at_after") - 1, f.col("until"))))
        # Of a pack that is gone the day after matters too.
        .withColumn("last_day", f.when(f.col("last_at") > f.col("at"), f.col("day") + STATUS_DAYS).otherwise(f.coalesce("following", "day")))
    )


def moved(seen):
    """The packs of each snapshot, and those that are gone since the one before."""
    here = seen.select(
        "history", "aggregator", "day", "previous", *KEY, "pack_group", f.lit(True).alias("here"), "change",
        f.col("type_before").alias("from_type"), f.col("compliance_type").alias("to_type"),
        (f.when(f.col("change") == "reappeared", f.col("day_before")).otherwise(f.col("day")) - f.col("since_before")).alias("days_before"),
        (f.col("day") - f.col("status_since")).alias("days_in_status"), *COUNTS)
    gone = seen.where(f.col("following").isNotNull() & (f.col("at_after").isNull() | (f.col("at_after") > f.col("at") + 1))).select(
        "history", "aggregator", f.col("following").alias("day"), f.col("day").alias("previous"), *KEY, "pack_group",
        f.lit(False).alias("here"), f.lit("removed").alias("change"), f.col("compliance_type").alias("from_type"),
        f.lit(None).cast("string").alias("to_type"), (f.col("following") - f.col("status_since")).alias("days_before"),
        f.lit(None).cast("int").alias("days_in_status"), *(f.lit(None).cast("int").alias(name) for name in COUNTS))
    return here.unionByName(gone)


def of_wanted(rows, calendar, *columns):
    """Rows of the days of the range alone, by their number or their day."""
    return rows.join(calendar.where("is_wanted").select("history", *columns, "snapshot_date"), ["history", columns[0]])


def pack_changes(moves, calendar):
    rows = of_wanted(moves.where(f.col("change").isNotNull()), calendar, "day")
    return rows.withColumn("days_in_previous_status", f.col("days_before")).withColumn("previous_snapshot_date", date("previous"))


def pack_status(seen, calendar):
    """Each pack as it was when it was seen last, on each day that remembers it."""
    first = calendar.where("is_wanted").groupBy("history").agg(f.min("at").alias("first_at"))
    rows = seen.drop("since").join(f.broadcast(first), "history").where(f.col("last_at") >= f.col("first_at"))
    rows = rows.withColumn("seen_at", f.col("at"))
    rows = rows.withColumn("at", f.explode(f.sequence(f.greatest("seen_at", "first_at"), f.col("last_at"))))
    return of_wanted(rows, calendar, "at").select(
        "snapshot_date", "aggregator", *KEY, "pack_group", "compliance_type", f.col("previous_type").alias("previous_compliance_type"),
        date("status_since").alias("status_since"), (f.col("day") - f.col("status_since")).alias("days_in_status"),
        date("first_seen").alias("first_seen_date"), date("day").alias("last_seen_date"),
        (f.col("at") == f.col("seen_at")).alias("is_present"), f.col("change_count"))


def totals(moves, calendar, first):
    """Packs, rules and events of each day, dimension and value, from as long before the first day as windows look back."""
    def value(dimension, column):
        return f.struct(f.lit(dimension).alias("dimension"), f.col(column).alias("dimension_value"))

    reach = f.col("day") > first - 2 * max(WINDOWS)
    each = f.array(value("aggregator", "aggregator"), value("account", "account_id"), value("region", "aws_region"),
                   value("pack_group", "pack_group"))
    columns = ("history", "day", "here", "change", "to_type", "days_before", "days_in_status", *COUNTS)
    rows = moves.where(reach).select(*columns, f.inline(each))
    # The aggregator has a row on every day, on one with neither a pack nor an event too.
    always = calendar.where(reach).select(
        "history", "day", f.lit(False).alias("here"), *(f.lit(None).alias(name) for name in columns[3:]),
        f.lit("aggregator").alias("dimension"), f.col("aggregator").alias("dimension_value"))
    rows = rows.unionByName(always)

    def packs(condition):
        return f.count(f.when(condition, 1)).cast("int")

    def of_type(kind):
        return f.col("here") & f.col("to_type").eqNullSafe(kind)

    known = f.coalesce(f.col("to_type").isin("COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"), f.lit(False))
    open_days = f.when(of_type("NON_COMPLIANT"), f.col("days_in_status"))
    is_remediated = f.col("change") == "remediated"
    return rows.groupBy("history", "day", "dimension", "dimension_value").agg(
        packs(f.col("here")).alias("packs_total"), packs(of_type("COMPLIANT")).alias("packs_compliant"),
        packs(of_type("NON_COMPLIANT")).alias("packs_non_compliant"), packs(of_type("INSUFFICIENT_DATA")).alias("packs_insufficient_data"),
        packs(f.col("here") & ~known).alias("packs_unknown"),
        *(f.coalesce(f.sum(f.col(name).cast("bigint")), f.lit(0)).alias(as_name) for name, as_name in zip(
            COUNTS, ("rules_compliant", "rules_non_compliant", "rules_insufficient_data", "rules_total"))),
        *(packs(f.col("change") == event).alias(f"packs_{event}") for event in ("added", "removed", "reappeared", "regressed", "remediated")),
        f.coalesce(f.sum(f.when(is_remediated, f.col("days_before").cast("bigint"))), f.lit(0)).alias("remediation_days"),
        f.median(open_days).alias("open_non_compliant_median_days"), f.max(open_days).alias("open_non_compliant_max_days"))


def compliance_trends(totals, calendar):
    """The totals with their rates, and what looks back."""
    value = Window.partitionBy("history", "dimension", "dimension_value").orderBy("day")
    events = ("packs_added", "packs_removed", "packs_reappeared", "packs_regressed", "packs_remediated", "remediation_days")
    rates = ("pack_compliance_rate", "rule_compliance_rate")
    rows = totals.join(calendar.drop("at", "rows", "source", "following", "until"), ["history", "day"])
    rows = rows.withColumn("pack_compliance_rate", rate("packs_compliant", "packs_non_compliant"))
    rows = rows.withColumn("rule_compliance_rate", rate("rules_compliant", "rules_non_compliant"))
    for name in events:
        # Without a snapshot before there is nothing to count events against.
        rows = rows.withColumn(name, f.when(f.col("previous").isNotNull(), f.col(name)))
    columns = [f.col("*")]
    for n in WINDOWS:
        within, before = value.rangeBetween(1 - n, 0), value.rangeBetween(1 - 2 * n, -n)
        # The value may have no row on the day that the change is against.
        is_then = f.last("day").over(before) == f.col(f"baseline_{n}")
        for name in rates:
            columns.append(f.when(is_then, f.col(name) - f.last(name).over(before)).alias(f"{name}_change_{n}d"))
            columns.append(f.collect_list(name).over(within).alias(f"{name}_mean_{n}d"))
        columns.append(f.count(f.when(f.col("packs_total") > 0, 1)).over(within).cast("int").alias(f"days_observed_{n}d"))
    for n in REMEDIATION_WINDOWS:
        within = value.rangeBetween(1 - n, 0)
        columns.append(f.coalesce(f.sum("packs_remediated").over(within), f.lit(0)).alias(f"remediations_{n}d"))
        columns.append(f.sum("remediation_days").over(within).alias(f"remediation_days_{n}d"))
    rows = rows.select(*columns).where("is_wanted")
    for name in (f"{name}_mean_{n}d" for name in rates for n in WINDOWS):
        rows = rows.withColumn(name, mean(f.col(name)))
    for n in REMEDIATION_WINDOWS:
        days = f.col(f"remediation_days_{n}d").cast("double") / f.col(f"remediations_{n}d").cast("double")
        rows = rows.withColumn(f"mean_days_to_remediate_{n}d", f.when(f.col(f"remediations_{n}d") > 0, days))
    return (
        rows.withColumn("previous_snapshot_date", date("previous")).withColumn("open_non_compliant_packs", f.col("packs_non_compliant"))
        .withColumn("population_since", date("since")))


def rate(part, other):
    """part / (part + other), or null where there is nothing to divide by or the counts of AWS Config make no rate."""
    part, other = f.col(part), f.col(other)
    sound = (part >= 0) & (other >= 0) & (part + other > 0)
    return f.when(sound, part.cast("double") / (part.cast("double") + other.cast("double")))


def mean(values):
    """The mean of an array, or null of an empty one. Polars adds up as Kahan does, `avg` does not: their last digits differ."""
    def add(total, value):
        value = value - total["error"]
        new = total["sum"] + value
        return f.struct(new.alias("sum"), (new - total["sum"] - value).alias("error"))

    none = f.struct(f.lit(0.0).alias("sum"), f.lit(0.0).alias("error"))
    return f.when(f.size(values) > 0, f.aggregate(values, none, add, lambda total: total["sum"] / f.size(values)))


def date(column):
    return f.date_from_unix_date(f.col(column))


# What is written.


class Files:
    """Whatever file system Spark has for a URL."""

    def __init__(self, spark):
        self.gateway, self.jvm, self.configuration = spark.sparkContext._gateway, spark._jvm, spark._jsc.hadoopConfiguration()

    def path(self, url):
        return self.jvm.org.apache.hadoop.fs.Path(url)

    def system(self, url):
        system = self.path(url).getFileSystem(self.configuration)
        if system.getScheme() == "file":
            # It would leave a checksum beside each file, which is none of a lake's.
            system.setWriteChecksum(False)
        return system

    def under(self, url):
        """The files in a folder and its folders, without emptied ones: a bucket that denies deletes has those. None where there is no such folder."""
        system, found = self.system(url), []
        if system.exists(self.path(url)):
            each = system.listFiles(self.path(url), True)
            while each.hasNext():
                file = each.next()
                if file.getLen() > 0:
                    found.append(file.getPath().toString())
        return found

    def text(self, url):
        stream = self.system(url).open(self.path(url))
        try:
            return self.jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        finally:
            stream.close()

    def rename(self, url, to):
        """Puts a file in the place of another at once."""
        rename = self.jvm.org.apache.hadoop.fs.Options.Rename
        options = self.gateway.new_array(rename, 1)
        options[0] = rename.OVERWRITE
        context = self.jvm.org.apache.hadoop.fs.FileContext.getFileContext(self.path(to).toUri(), self.configuration)
        context.rename(self.path(url), self.path(to), options)

    def remove(self, url):
        self.system(url).delete(self.path(url), True)


class Written:
    """A table as Spark writes it, to be put where Compline has it."""

    def __init__(self, files, folder, table):
        self.files, self.folder, self.table = files, folder, table

    def write(self, rows, tasks):
        columns = [(f.col(name) if nullable else f.coalesce(f.col(name), f.expr(NEVER[kind]))).cast(kind).alias(name)
                   for name, kind, nullable in self.table.columns]
        rows = rows.select("snapshot_date", "aggregator", *columns)

        def put(rows, folder):
            # The limit of rows is of Parquet 1.15 and later; before it row groups are larger.
            rows.option("compression", "zstd").option("parquet.block.row.count.limit", ROW_GROUP_ROWS).parquet(f"{self.folder}/{folder}")

        # A partition is written by one task, and so to one file.
        each = rows.repartition(tasks, "snapshot_date", "aggregator")
        put(each.sortWithinPartitions("snapshot_date", "aggregator", *self.table.sort_key).write.partitionBy("snapshot_date", "aggregator"), "days")
        put(rows.drop("snapshot_date", "aggregator").limit(0).coalesce(1).write, "none")

    def parquet(self, folder):
        return [path for path in self.files.under(f"{self.folder}/{folder}") if path.endswith(".parquet")]

    def publish(self, out, name, days):
        """Puts each partition in its place, as one object."""
        files = defaultdict(list)
        for path in self.parquet("days"):
            files[parts(path)["snapshot_date"], parts(path)["aggregator"]].append(path)
        (none,) = self.parquet("none")
        # Mostly waiting for the store.
        with ThreadPoolExecutor(16) as pool:
            def place(day):
                (path,) = files.get((str(day.snapshot_date), day.aggregator), [none])
                self.place(path, out, name, f"snapshot_date={day.snapshot_date}/aggregator={day.aggregator}")
            list(pool.map(place, days))

    def place(self, source, out, name, partition):
        """Copies a file's row groups as they are, under a footer that says what Compline's says. Spark can write neither that footer
        nor a file of that name, and on S3 to rename is to copy as well."""
        files, parquet = self.files, self.files.jvm.org.apache.parquet.hadoop
        target = f"{out}/{name}/{partition}/data.parquet"
        # What is put into a store is there when it is whole; a file is when it has its name.
        is_store = files.system(out).getScheme().startswith("s3")
        put = target if is_store else f"{out}/{name}/{partition}/.data.parquet.recompute"
        source = parquet.util.HadoopInputFile.fromPath(files.path(source), files.configuration)
        reader = parquet.ParquetFileReader.open(source)
        schema = reader.getFooter().getFileMetaData().getSchema()
        reader.close()
        said = files.jvm.java.util.HashMap()
        for key, value in (("table", name), ("schema_version", str(SCHEMA_VERSION)), ("partition", partition), ("crc32", CRC_ZEROS)):
            said.put(f"compline.{key}", value)
        # The checksum is of the whole file, and what is in a store cannot be changed.
        with tempfile.TemporaryDirectory(prefix="compline-recompute-") as folder:
            file = pathlib.Path(folder, "data.parquet")
            local = files.system(file.as_uri())
            writer = parquet.ParquetFileWriter(parquet.util.HadoopOutputFile.fromPath(files.path(file.as_uri()), files.configuration), schema,
                                               parquet.ParquetFileWriter.Mode.OVERWRITE, 128 << 20, 8 << 20)
            writer.start()
            writer.appendFile(source)
            writer.end(said)
            seal(file)
            files.jvm.org.apache.hadoop.fs.FileUtil.copy(local, files.path(file.as_uri()), files.system(out), files.path(put), False, files.configuration)
        if not is_store:
            files.rename(put, target)


def seal(file):
    """Puts the CRC-32 of a whole file, with zeros in its place, into its footer: between its name and it Thrift has a type and a length."""
    name = b"compline.crc32" + bytes([0x18, len(CRC_ZEROS)])
    content = bytearray(file.read_bytes())
    at = content.rindex(name + CRC_ZEROS.encode()) + len(name)
    content[at:at + len(CRC_ZEROS)] = f"{zlib.crc32(content):08x}".encode()
    file.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
