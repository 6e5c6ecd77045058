"""The trends of one night at a million packs: Compline, and what one would write in its place with DuckDB or Polars.

    cargo build --release && .venv/bin/python benches/trends.py

Every contender is a process of its own that reads the same files (the day's snapshot, the state of the day before, the trend
rows of the recent days) and writes the same three tables. Fails if a night takes 10 s or 1.5 GB, if a lake of 365 days takes
a fifth more than one of 10, if Compline is the slowest, or if they do not write the same.
"""

import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import duckdb
import polars as pl
from polars.testing import assert_frame_equal

ROOT = pathlib.Path(__file__).parent.parent
COMPLINE = os.environ.get("COMPLINE", ROOT / "target/release/compline")
TODAY = datetime.date(2026, 3, 1)
YESTERDAY = TODAY - datetime.timedelta(1)
ACCOUNTS = int(os.environ.get("ACCOUNTS", 9_450))
TABLES = ("pack_compliance", "pack_changes", "pack_status", "compliance_trends")
KEY = ["account_id", "aws_region", "conformance_pack_name"]
WINDOWS = (7, 30, 90)


def file(lake, table, day):
    return lake / table / f"snapshot_date={day}" / "aggregator=org" / "data.parquet"


def recent(lake):
    """The trend rows that a night looks back at: every day of the longest window, and what the changes compare with."""
    days = sorted(datetime.date.fromisoformat(folder.name[14:]) for folder in (lake / "compliance_trends").iterdir())
    days = [day for day in days if day < TODAY]
    baselines = {n: max((day for day in days if n <= (TODAY - day).days < 2 * n), default=None) for n in WINDOWS}
    needed = [day for day in days if (TODAY - day).days < max(WINDOWS) or day in baselines.values()]
    return needed, baselines


def with_duckdb(lake, out):
    needed, baselines = recent(lake)
    db = duckdb.connect()
    today = f"DATE '{TODAY}'"
    db.execute(f"CREATE VIEW now AS FROM read_parquet('{file(lake, 'pack_compliance', TODAY)}', hive_partitioning = false)")
    db.execute(f"CREATE VIEW before AS FROM read_parquet('{file(lake, 'pack_status', YESTERDAY)}', hive_partitioning = false)")
    db.execute(f"""
        CREATE TABLE moves AS
        SELECT account_id, aws_region, conformance_pack_name, coalesce(n.pack_group, b.pack_group) AS pack_group,
            n.pack_group IS NOT NULL AS here, b.first_seen_date IS NOT NULL AS known, coalesce(b.is_present, false) AS was_present,
            n.compliance_type AS type, b.compliance_type AS type_before, n.compliance_type IS DISTINCT FROM b.compliance_type AS other,
            previous_compliance_type, status_since, days_in_status, first_seen_date, last_seen_date, change_count,
            compliant_rule_count, non_compliant_rule_count, insufficient_data_rule_count, total_rule_count,
            CASE
                WHEN here AND NOT known THEN 'added'
                WHEN here AND NOT was_present THEN 'reappeared'
                WHEN NOT here AND was_present THEN 'removed'
                WHEN NOT here OR NOT other THEN NULL
                WHEN type_before = 'COMPLIANT' AND type = 'NON_COMPLIANT' THEN 'regressed'
                WHEN type_before = 'NON_COMPLIANT' AND type = 'COMPLIANT' THEN 'remediated'
                ELSE 'changed'
            END AS change,
            if(here AND (NOT was_present OR other), {today}, status_since) AS since_now,
            if(here, {today} - since_now, days_in_status) AS days_now
        FROM now AS n FULL JOIN before AS b USING (account_id, aws_region, conformance_pack_name)""")
    parquet = "(FORMAT parquet, COMPRESSION zstd)"
    db.execute(f"""
        COPY (SELECT account_id, aws_region, conformance_pack_name, pack_group, change, type_before AS from_type, type AS to_type,
                if(change = 'reappeared', days_in_status, {today} - status_since) AS days_in_previous_status, DATE '{YESTERDAY}' AS previous_snapshot_date
            FROM moves WHERE change IS NOT NULL ORDER BY ALL) TO '{out}/pack_changes.parquet' {parquet}""")
    db.execute(f"""
        COPY (SELECT account_id, aws_region, conformance_pack_name, pack_group, if(here, type, type_before) AS compliance_type,
                if(here AND known AND other, type_before, previous_compliance_type) AS previous_compliance_type, since_now AS status_since,
                days_now AS days_in_status, coalesce(first_seen_date, {today}) AS first_seen_date, if(here, {today}, last_seen_date) AS last_seen_date,
                here AS is_present, coalesce(change_count, 0) + (here AND was_present AND other)::INT AS change_count
            FROM moves WHERE here OR {today} - last_seen_date <= 400
            ORDER BY account_id, aws_region, conformance_pack_name) TO '{out}/pack_status.parquet' {parquet}""")
    sums = ", ".join([
        "count(*) FILTER (here) AS packs_total",
        *(f"count(*) FILTER (here AND type = '{kind.upper()}') AS packs_{kind}" for kind in ("compliant", "non_compliant", "insufficient_data")),
        *(f"coalesce(sum({kind}_rule_count), 0) AS rules_{kind}" for kind in ("compliant", "non_compliant", "insufficient_data", "total")),
        *(f"count(*) FILTER (change = '{kind}') AS packs_{kind}" for kind in ("added", "removed", "reappeared", "regressed", "remediated")),
        f"coalesce(sum({today} - status_since) FILTER (change = 'remediated'), 0) AS remediation_days",
        "median(days_now) FILTER (here AND type = 'NON_COMPLIANT') AS open_median", "max(days_now) FILTER (here AND type = 'NON_COMPLIANT') AS open_max",
    ])
    dimensions = {"aggregator": "'org'", "account": "account_id", "region": "aws_region", "pack_group": "pack_group"}
    db.execute("CREATE TABLE totals AS " + " UNION ALL ".join(
        f"SELECT '{name}' AS dimension, {value} AS dimension_value, {sums} FROM moves WHERE here OR change IS NOT NULL GROUP BY ALL"
        for name, value in dimensions.items()))
    rates = """if(packs_compliant + packs_non_compliant > 0, packs_compliant / (packs_compliant + packs_non_compliant), NULL) AS pack_compliance_rate,
        if(rules_compliant + rules_non_compliant > 0, rules_compliant / (rules_compliant + rules_non_compliant), NULL) AS rule_compliance_rate"""
    kept = ["dimension", "dimension_value", "packs_total", "pack_compliance_rate", "rule_compliance_rate", "packs_remediated", "remediation_days"]
    files = [str(file(lake, "compliance_trends", day)) for day in needed]
    db.execute(f"CREATE VIEW rated AS SELECT *, {rates} FROM totals")
    db.execute(f"""
        CREATE TABLE history AS
        SELECT {", ".join(kept)}, CAST(snapshot_date AS DATE) AS day FROM read_parquet({files}, hive_partitioning = true)
        UNION ALL SELECT {", ".join(kept)}, {today} FROM rated""")
    columns, joins = ["rated.*"], []
    for n in WINDOWS:
        db.execute(f"""
            CREATE TABLE w{n} AS SELECT dimension, dimension_value, avg(pack_compliance_rate) AS p, avg(rule_compliance_rate) AS r,
                count(*) FILTER (packs_total > 0) AS days, coalesce(sum(packs_remediated), 0) AS remediations, sum(remediation_days) AS remediation_days
            FROM history WHERE day > {today} - {n} GROUP BY ALL""")
        base = f"DATE '{baselines[n]}'" if baselines[n] else "NULL"
        joins += [f"LEFT JOIN w{n} USING (dimension, dimension_value)",
                  f"LEFT JOIN (FROM history WHERE day = {base}) AS b{n} USING (dimension, dimension_value)"]
        columns += [f"rated.pack_compliance_rate - b{n}.pack_compliance_rate AS pack_compliance_rate_change_{n}d",
                    f"rated.rule_compliance_rate - b{n}.rule_compliance_rate AS rule_compliance_rate_change_{n}d",
                    f"w{n}.p AS pack_compliance_rate_mean_{n}d", f"w{n}.r AS rule_compliance_rate_mean_{n}d", f"w{n}.days AS days_observed_{n}d",
                    f"w{n}.remediations AS remediations_{n}d", f"if(w{n}.remediations > 0, w{n}.remediation_days / w{n}.remediations, NULL) AS mean_days_to_remediate_{n}d"]
    db.execute(f"COPY (SELECT {', '.join(columns)} FROM rated {' '.join(joins)} ORDER BY dimension, dimension_value) TO '{out}/compliance_trends.parquet' {parquet}")


def with_polars(lake, out):
    needed, baselines = recent(lake)
    c, today = pl.col, pl.lit(TODAY)
    now = pl.scan_parquet(file(lake, "pack_compliance", TODAY), hive_partitioning=False).select(
        *KEY, "pack_group", "compliance_type", "compliant_rule_count", "non_compliant_rule_count", "insufficient_data_rule_count", "total_rule_count",
        pl.lit(True).alias("here"))
    before = pl.scan_parquet(file(lake, "pack_status", YESTERDAY), hive_partitioning=False)
    type_now, type_before = c("compliance_type"), c("compliance_type_before")
    days = lambda since: (today - since).dt.total_days()
    moves = now.join(before, on=KEY, how="full", coalesce=True, suffix="_before").with_columns(
        c("here").fill_null(False), c("is_present").fill_null(False).alias("was_present"), c("first_seen_date").is_not_null().alias("known"),
        c("pack_group").fill_null(c("pack_group_before")), type_now.ne_missing(type_before).alias("other"),
    ).with_columns(
        pl.when(c("here") & ~c("known")).then(pl.lit("added")).when(c("here") & ~c("was_present")).then(pl.lit("reappeared"))
        .when(~c("here") & c("was_present")).then(pl.lit("removed")).when(~c("here") | ~c("other")).then(None)
        .when(type_before.eq_missing(pl.lit("COMPLIANT")) & type_now.eq_missing(pl.lit("NON_COMPLIANT"))).then(pl.lit("regressed"))
        .when(type_before.eq_missing(pl.lit("NON_COMPLIANT")) & type_now.eq_missing(pl.lit("COMPLIANT"))).then(pl.lit("remediated"))
        .otherwise(pl.lit("changed")).alias("change"),
        pl.when(c("here") & (~c("was_present") | c("other"))).then(today).otherwise(c("status_since")).alias("since_now"),
    ).with_columns(pl.when(c("here")).then(days(c("since_now"))).otherwise(c("days_in_status")).alias("days_now")).collect()
    moves.lazy().filter(c("change").is_not_null()).sort(KEY).select(
        *KEY, "pack_group", "change", type_before.alias("from_type"), type_now.alias("to_type"),
        pl.when(c("change") == "reappeared").then(c("days_in_status")).otherwise(days(c("status_since"))).alias("days_in_previous_status"),
        pl.lit(YESTERDAY).alias("previous_snapshot_date"),
    ).collect().write_parquet(f"{out}/pack_changes.parquet", compression="zstd")
    moves.lazy().filter(c("here") | (days(c("last_seen_date")) <= 400)).sort(KEY).select(
        *KEY, "pack_group", pl.when(c("here")).then(type_now).otherwise(type_before).alias("compliance_type"),
        pl.when(c("here") & c("known") & c("other")).then(type_before).otherwise(c("previous_compliance_type")).alias("previous_compliance_type"),
        c("since_now").alias("status_since"), c("days_now").alias("days_in_status"), c("first_seen_date").fill_null(today),
        pl.when(c("here")).then(today).otherwise(c("last_seen_date")).alias("last_seen_date"), c("here").alias("is_present"),
        (c("change_count").fill_null(0) + (c("here") & c("was_present") & c("other")).cast(pl.Int32)).alias("change_count"),
    ).collect().write_parquet(f"{out}/pack_status.parquet", compression="zstd")
    is_ = lambda kind: c("here") & type_now.eq_missing(pl.lit(kind.upper()))
    sums = [
        c("here").sum().alias("packs_total"),
        *(is_(kind).sum().alias(f"packs_{kind}") for kind in ("compliant", "non_compliant", "insufficient_data")),
        *(c(f"{kind}_rule_count").cast(pl.Int64).sum().alias(f"rules_{kind}") for kind in ("compliant", "non_compliant", "insufficient_data", "total")),
        *(c("change").eq_missing(pl.lit(kind)).sum().alias(f"packs_{kind}") for kind in ("added", "removed", "reappeared", "regressed", "remediated")),
        days(c("status_since")).filter(c("change").eq_missing(pl.lit("remediated"))).sum().alias("remediation_days"),
        c("days_now").filter(is_("non_compliant")).median().alias("open_median"), c("days_now").filter(is_("non_compliant")).max().alias("open_max"),
    ]
    rows = moves.lazy().filter(c("here") | c("change").is_not_null())
    dimensions = {"aggregator": pl.lit("org"), "account": c("account_id"), "region": c("aws_region"), "pack_group": c("pack_group")}
    rate = lambda part, other: pl.when(part + other > 0).then(part / (part + other))
    totals = pl.concat([
        rows.group_by(value.alias("dimension_value")).agg(sums).select(pl.lit(name).alias("dimension"), pl.all()) for name, value in dimensions.items()
    ]).with_columns(rate(c("packs_compliant"), c("packs_non_compliant")).alias("pack_compliance_rate"),
                    rate(c("rules_compliant"), c("rules_non_compliant")).alias("rule_compliance_rate")).collect()
    value = ["dimension", "dimension_value"]
    kept = [*value, pl.col("packs_total", "packs_remediated").cast(pl.Int64), "pack_compliance_rate", "rule_compliance_rate", "remediation_days"]
    history = pl.concat([*(pl.scan_parquet(file(lake, "compliance_trends", day), hive_partitioning=False).select(*kept, pl.lit(day).alias("day")) for day in needed),
                         totals.lazy().select(*kept, today.alias("day"))]).collect()
    trends = totals.lazy()
    for n in WINDOWS:
        means = history.lazy().filter(c("day") > TODAY - datetime.timedelta(n)).group_by(value).agg(
            c("pack_compliance_rate").mean().alias(f"pack_compliance_rate_mean_{n}d"), c("rule_compliance_rate").mean().alias(f"rule_compliance_rate_mean_{n}d"),
            (c("packs_total") > 0).sum().alias(f"days_observed_{n}d"), c("packs_remediated").sum().alias(f"remediations_{n}d"),
            c("remediation_days").sum().alias(f"remediation_days_{n}d"))
        then = history.lazy().filter(c("day").eq_missing(pl.lit(baselines[n], dtype=pl.Date))).select(
            *value, c("pack_compliance_rate").alias("p"), c("rule_compliance_rate").alias("r"))
        trends = trends.join(means, on=value, how="left").join(then, on=value, how="left").with_columns(
            (c("pack_compliance_rate") - c("p")).alias(f"pack_compliance_rate_change_{n}d"), (c("rule_compliance_rate") - c("r")).alias(f"rule_compliance_rate_change_{n}d"),
            pl.when(c(f"remediations_{n}d") > 0).then(c(f"remediation_days_{n}d") / c(f"remediations_{n}d")).alias(f"mean_days_to_remediate_{n}d"),
        ).drop("p", "r")
    trends.sort(value).collect().write_parquet(f"{out}/compliance_trends.parquet", compression="zstd")


def measured(contenders):
    """The least time in seconds and the most memory in MB of each contender, of five rounds of all of them in turn."""
    found = {name: ([], []) for name in contenders}
    for _ in range(5):
        for name, (command, prepare) in contenders.items():
            prepare()
            started = time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0, command
            found[name][0].append(time.monotonic() - started)
            found[name][1].append(usage.ru_maxrss / 1000)
    return {name: (min(seconds), max(memory)) for name, (seconds, memory) in found.items()}


def lake_of(folder, days):
    """A lake with so many days of org, those before the last two being the first of these again."""
    lake = folder / f"lake{days}"
    for table in TABLES:
        for ago in range(days):
            day = TODAY - datetime.timedelta(ago)
            source, target = file(folder / "lake", table, day if ago < 2 else YESTERDAY), file(lake, table, day)
            target.parent.mkdir(parents=True)
            os.link(source, target)
    return lake


def pipeline(folder, lake, url):
    path = folder / f"{lake.name}.toml"
    path.write_text(f"""
        version = 1
        [lake]
        url = "{lake}"
        [[aggregator]]
        id = "org"
        name = "org-aggregator"
        region = "eu-west-1"
        [check]
        reconcile = "off"
        [fetch]
        endpoint_url = "{url}/{{date}}"
        """)
    return path


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arguments = ["--port", "0", "--accounts", str(ACCOUNTS), "--regions", "17", "--packs", "8"]
        simulator = subprocess.Popen([COMPLINE, "simulate", *arguments], stdout=subprocess.PIPE, text=True)
        try:
            file_of = pipeline(folder, folder / "lake", simulator.stdout.readline().strip())
            for day in (YESTERDAY, TODAY):
                subprocess.run([COMPLINE, "run", file_of, "--date", str(day)], check=True, stderr=subprocess.DEVNULL)
        finally:
            simulator.terminate()
        contenders = {}
        for days in (10, 365):
            lake = lake_of(folder, days)
            command = [COMPLINE, "trends", pipeline(folder, lake, "http://127.0.0.1:1"), "--from", str(TODAY), "--to", str(TODAY)]
            # What is not there is written: all three tables, since a day's are written together.
            contenders[f"compline, {days} days"] = (command, file(lake, "pack_changes", TODAY).unlink)
        for name in ("duckdb", "polars"):
            (folder / name).mkdir()
            contenders[f"{name}, 365 days"] = ([sys.executable, __file__, name, lake, folder / name], lambda: None)
        found = measured(contenders)
        for name, (seconds, memory) in found.items():
            print(f"{name:20} {seconds:6.2f} s {memory:8.0f} MB")
        for name in ("duckdb", "polars"):
            assert_same(lake, folder / name)
        (short, _), (long, memory), *others = found.values()
        assert long < 10 and memory < 1500, "a night takes 10 s or 1.5 GB"
        assert long < 1.2 * short, "a long history costs more than a fifth"
        assert long <= min(seconds for seconds, _ in others), "another is faster"


def assert_same(lake, out):
    """That somebody else's tables are ours, as far as they have the same columns."""
    for table, key in (("pack_changes", KEY), ("pack_status", KEY), ("compliance_trends", ["dimension", "dimension_value"])):
        ours, theirs = pl.read_parquet(file(lake, table, TODAY), hive_partitioning=False), pl.read_parquet(out / f"{table}.parquet")
        common = [name for name in ours.columns if name in theirs.columns]
        assert len(common) > len(key) + 2, common
        assert_frame_equal(ours.sort(key).select(common), theirs.sort(key).select(common), check_dtypes=False, abs_tol=1e-9)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"duckdb": with_duckdb, "polars": with_polars}[sys.argv[1]](pathlib.Path(sys.argv[2]), sys.argv[3])
    else:
        main()
