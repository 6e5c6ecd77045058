"""The documents, against the program: their commands are run, their queries asked, their tables and numbers computed again.

    COMPLINE=target/debug/compline .venv/bin/python tests/readers/test_docs.py

writes what is generated in them: docs/tables.md, the computed tables of docs/sizing.md and the definitions of docs/report.md.
"""

import datetime
import functools
import html
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.parse
from dataclasses import dataclass
from types import SimpleNamespace

import boto3
import duckdb
import hcl2
import pyarrow.parquet as parquet
import pytest
import sqlglot
import yaml

from conftest import COMPLINE, RULE_TABLES, TABLES, WITHOUT_RULES, Simulator

ROOT = pathlib.Path(__file__, "../../..").resolve()
DOCS = sorted((ROOT / "docs").glob("*.md"))
FILES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *DOCS, *sorted((ROOT / "pipelines").rglob("*.md"))]
COMMANDS = ["demo", "init", "check", "plan", "run", "import", "trends", "history", "status", "verify", "maintain", "athena", "catalog", "schema", "report",
            "completions", "man", "simulate"]

# Blocks of commands that no test here runs, by file and first line, and why.
NOT_RUN = {
    ("README.md", "cargo run -- demo"): "builds the program; the fixture `lake` runs the same `demo`",
    ("README.md", "./tests/run"): "is what runs this test",
    ("pipelines/nightly/readers/README.md", "python pandas_first_minutes.py lake org"): "test_first_minutes.py runs these",
    ("pipelines/spark/README.md", "spark-submit pipelines/spark/recompute.py --lake lake --out recomputed"): "test_spark_recompute.py runs the job",
    ("pipelines/spark/README.md", "aws glue create-job --name compline-recompute --role compline-recompute --glue-version 5.0 --worker-type G.2X --number-of-workers 9 \\"): "is AWS's to run",
    ("pipelines/spark/README.md", "aws emr-serverless start-job-run --application-id APPLICATION --execution-role-arn arn:aws:iam::111122223333:role/compline-recompute \\"): "is AWS's to run",
    ("docs/operations.md", "FILE=pipeline.toml ID=org DAY=2026-11-26"): "each test sets these three to its own",
}
RUN = set()


@dataclass(frozen=True)
class Block:
    file: str
    heading: str
    language: str
    text: str


def name(path):
    return str(path.relative_to(ROOT))


def blocks_of(path):
    """The fenced blocks of a document, each with the heading that it stands under."""
    heading, language, lines, found = "", None, [], []
    for line in path.read_text().splitlines():
        if language is None and (fence := re.match(r"```(\w*)$", line)):
            language, lines = fence[1], []
        elif language is not None and line == "```":
            found.append(Block(name(path), heading, language, "\n".join(lines) + "\n"))
            language = None
        elif language is not None:
            lines.append(line)
        elif title := re.match(r"#+ (.*)", line):
            heading = title[1]
    assert language is None, f"{path}: a block without an end"
    return found


BLOCKS = [block for path in FILES for block in blocks_of(path)]


def of(language):
    return [block for block in BLOCKS if block.language == language]


def commands(file, heading=None):
    """The blocks of commands under a heading of a document, in its order, for a test that runs all of them."""
    found = [block.text for block in of("sh") if block.file == file and heading in (None, block.heading)]
    assert found, (file, heading)
    return found


def runs(file, heading=None):
    """Says of a test that it runs these blocks."""
    RUN.add((file, heading))
    return lambda test: test


@functools.cache
def help_of(command):
    return subprocess.run([COMPLINE, command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout


def flags_of(command):
    return set(re.findall(r"(--[a-z][a-z-]*)", help_of(command))) | {"--help"}


def day(ago):
    return str(datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=ago))


# What the documents say of the program and of each other.


def test_every_block_of_commands_is_run_or_says_why_not():
    missing = [(block.file, block.text.splitlines()[0]) for block in of("sh")
               if (block.file, block.heading) not in RUN and (block.file, None) not in RUN and (block.file, block.text.splitlines()[0]) not in NOT_RUN]
    assert missing == []
    known = {(block.file, block.text.splitlines()[0]) for block in of("sh")}
    assert set(NOT_RUN) <= known, "a reason for a block that is gone"
    headings = {(block.file, block.heading) for block in of("sh")} | {(block.file, None) for block in of("sh")}
    assert RUN <= headings, "a test of a section that is gone"
    assert {block.language for block in BLOCKS} <= {"sh", "toml", "json", "sql", "hcl", "text"}


def links_of(path):
    """The targets of a document's links and pictures."""
    text = re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", path.read_text(), flags=re.S))
    assert not re.findall(r"^\[[^\]]+\]: |<(?:a|img) ", text, flags=re.M), f"{name(path)}: a link in a form that no test follows"
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors_of(path):
    """What a code host and mdBook call the headings of a document: the second of one name is `name-1`."""
    anchors = []
    for title in re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", path.read_text(), flags=re.S), flags=re.M):
        slug = re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
        before = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor) is not None for anchor in anchors)
        anchors.append(f"{slug}-{before}" if before else slug)
    return set(anchors)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_relative_link_leads_somewhere(path):
    for target in links_of(path):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists() and found.is_relative_to(ROOT), f"{name(path)}: {target}"
        if anchor:
            assert found.suffix == ".md" and anchor in anchors_of(found), f"{name(path)}: {target}"


# The documents as a book: ../../book.toml.


def test_the_book_has_every_document_once():
    chapters = links_of(ROOT / "docs/SUMMARY.md")
    assert sorted(chapters) == [path.name for path in DOCS if path.name != "SUMMARY.md"] and chapters[0] == "README.md"
    book = tomllib.loads((ROOT / "book.toml").read_text())
    assert book["book"]["src"] == "docs" and f"/{book['build']['build-dir']}" in (ROOT / ".gitignore").read_text().splitlines()
    # mdBook makes index.html of it, and no README.html that a link could lead to.
    assert not [name(path) for path in DOCS if path.name != "SUMMARY.md" and "README.md" in [link.partition("#")[0] for link in links_of(path)]]


def in_the_book(text, url=None):
    """The text of a chapter as mdBook gets it from the preprocessor of book.toml."""
    book = tomllib.loads((ROOT / "book.toml").read_text())
    command, = (preprocessor["command"].split() for preprocessor in book["preprocessor"].values())
    assert subprocess.run([*command, "supports", "html"], cwd=ROOT).returncode == 0
    context = {"root": str(ROOT), "config": {**book, "output": {"html": {**book["output"]["html"], **({"git-repository-url": url} if url else {})}}}}
    chapters = {"items": [{"PartTitle": "Begin"}, {"Chapter": {"content": "", "sub_items": [{"Chapter": {"content": text, "sub_items": []}}]}}]}
    done = subprocess.run([*command], input=json.dumps([context, chapters]), capture_output=True, text=True, cwd=ROOT, check=True, timeout=60)
    return json.loads(done.stdout)["items"][1]["Chapter"]["sub_items"][0]["Chapter"]["content"]


@pytest.mark.parametrize("path", [path for path in DOCS if path.name != "SUMMARY.md"], ids=name)
def test_links_out_of_the_documents_lead_somewhere_from_the_book(path, tmp_path):
    url = "https://git.example.com/org/compline"
    out = [target for target in links_of(path) if target.startswith("../")]
    for address in (None, url):
        page = tmp_path / "page.md"
        page.write_text(in_the_book(path.read_text(), address))
        assert len(links_of(page)) == len(links_of(path))
        for target, changed in zip(links_of(path), links_of(page), strict=True):
            if target not in out:
                assert changed == target
            elif address:
                assert changed.startswith(f"{url}/blob/HEAD/") and (ROOT / changed.removeprefix(f"{url}/blob/HEAD/").partition("#")[0]).exists()
            else:
                # A page lies in book/, beside docs/; mdBook makes `.html` of what has `.md` in it.
                assert ".md" not in changed and (ROOT / "docs" / urllib.parse.unquote(changed).partition("#")[0]).exists(), changed


def mentions(text):
    """Each command of the program that a document has as code, with its options."""
    spans = re.findall(r"```sh\n(.*?)```", text, flags=re.S) + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    for span in spans:
        for line in span.replace("\\\n", " ").splitlines():
            found = re.search(rf"(?:^|\bcompline )({'|'.join(COMMANDS)})(?= |$)(.*)", line.partition(" # ")[0])
            if found:
                yield found[1], re.findall(r"(?<![\w-])--[a-z][a-z-]*", found[2])


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_option_that_is_named_exists(path):
    for command, options in mentions(path.read_text()):
        assert set(options) <= flags_of(command), f"{name(path)}: compline {command} {options}"
    any_command = set().union(*(flags_of(command) for command in COMMANDS)) | {"--version", "--create-bucket-configuration"}
    if path.parent.name == "docs":
        alone = re.findall(r"`(--[a-z-]+)[^`]*`", re.sub(r"```.*?```", "", path.read_text(), flags=re.S))
        assert set(alone) <= any_command, name(path)


def test_mentions_find_options_where_they_are():
    found = list(mentions("Say `run --accept` or `compline verify FILE --repair`.\n```sh\ncompline import a \\\n  --date x\n```\n`aws s3 run`"))
    assert sorted(found) == [("import", ["--date"]), ("run", ["--accept"]), ("verify", ["--repair"])]


def test_every_command_of_the_program_is_known_here():
    listed = subprocess.run([COMPLINE, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    commands_listed = re.findall(r"^  ([a-z]+)  ", listed.partition("Commands:")[2].partition("Options:")[0], flags=re.M)
    # A command that is known and not yet in a document does no harm; one that is gone does.
    assert set(COMMANDS) <= set(commands_listed)


def test_every_alert_has_a_section_and_every_section_an_alert():
    rules = yaml.safe_load((ROOT / "pipelines/nightly/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
    text = (ROOT / "docs/operations.md").read_text()
    sections = dict(re.findall(r"^### (Compline\w+)\n\n(\w+)", text, flags=re.M))
    assert sections == {rule["alert"]: rule["labels"]["severity"].capitalize() for rule in rules}


def test_every_exit_code_has_a_section_and_every_section_an_exit_code():
    source = (ROOT / "crates/compline/src/failure.rs").read_text()
    bodies = re.findall(r"fn exit_code\(.*?\n    }", source, flags=re.S)
    codes = {int(code) for body in bodies for code in re.findall(r"=> (\d+),", body)}
    text = (ROOT / "docs/operations.md").read_text()
    assert {int(code) for code in re.findall(r"^### Exit code (\d+)$", text, flags=re.M)} == codes and 130 in codes


def test_every_question_that_is_named_is_there():
    for path in DOCS:
        for some in re.findall(r"[Qq]uestions? (\d+)(?: and (\d+))?", path.read_text()):
            assert all(int(number) in QUERIES for number in some if number), (path, some)


def test_the_index_has_every_document():
    listed = set(re.findall(r"\]\(([a-z]+\.md)\)", (ROOT / "docs/README.md").read_text()))
    assert listed == {path.name for path in DOCS} - {"README.md", "SUMMARY.md"}


def test_every_json_is_json_and_every_module_has_the_variables_that_are_set():
    assert of("json")
    for block in of("json"):
        json.loads(block.text)
    declared = set(re.findall(r'^variable "(\w+)"', (ROOT / "pipelines/nightly/terraform/variables.tf").read_text(), flags=re.M))
    for block in of("hcl"):
        for module in hcl2.loads(block.text)["module"]:
            for settings in module.values():
                given = {key for key in settings if not key.startswith("__")} - {"source"}
                assert given <= declared, given - declared


@pytest.mark.parametrize("block", of("toml"), ids=lambda block: block.file)
def test_every_pipeline_file_is_accepted(block, tmp_path):
    text = block.text.replace('"https://..."', '"https://config.example.com"').replace('"arn:..."', '"arn:aws:iam::111122223333:role/reader"')
    text = text.replace('"alias/..."', '"alias/history"')
    tomllib.loads(text)
    file = tmp_path / "pipeline.toml"
    file.write_text(text)
    done = subprocess.run([COMPLINE, "plan", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# Tables.

DEFINITIONS = """
## Definitions

They are said of packs, and hold for Config rules in the tables `rule_...`, which an aggregator has that [collects rules](settings.md).

- **Pack rate**: compliant packs / (compliant + non-compliant packs). **Rule rate**: the same of rules: in `compliance_trends` of the sums that packs
  say, in `rule_trends` of the Config rules themselves, those of no pack too. What has insufficient data or does not apply is in none of them, and is
  counted beside them. A rate is null where there is nothing to divide by. None is AWS's "compliance score".
- **Previous snapshot**: the last committed one of that aggregator before this day, of packs or of rules, however long ago. Its date is in the row.
- **Regressed**: COMPLIANT, then NON_COMPLIANT. **Remediated**: the reverse. **Changed**: any other change of type.
- **Added**: never seen before. **Removed**: not there any more, which is not remediated. **Reappeared**: removed and back; its
  `first_seen_date` stays. AWS Config does not list a rule without results: it is removed until it has one.
- **Change over N days**: against the last snapshot that is N to 2N - 1 days old; null if there is none.
- **Mean over N days**: of the snapshots in the N calendar days that end on this day; `days_observed` says how many there are.
- **Time to remediate**: days from `status_since` of NON_COMPLIANT to the day that saw the pack COMPLIANT. Packs that still are open are in no mean.
- **A gap** (a day without a snapshot) changes no status. Nothing is interpolated.
- **Pack group**: `OrgConformsPack-NAME-SUFFIX` is in the group NAME; any other pack is a group of its own name.
- **Rule group**: a rule's name without an ending that differs between accounts. `NAME-conformance-pack-ID` of a pack is in the group NAME,
  `OrgConfigRule-NAME-SUFFIX` of an organization in `OrgConfigRule-NAME`, `securityhub-NAME-SUFFIX` of Security Hub in `securityhub-NAME`; any other
  rule is a group of its own name. ID is 8 to 12 of `[a-z0-9]`, SUFFIX 8 of them, of Security Hub 8 hexadecimal digits.
- **`conformance_pack_id`**: that ID. AWS documents neither it nor that ending; 9 of `[a-z0-9]` have been seen. It is another one in each account and region
  and is not in the pack's name: [athena.md](athena.md#rules-that-made-packs-regress) says where the two can be joined.
- **Population**: which packs or rules were asked for. Where filters, `include` or `exclude` change, trends begin again (`population_since`).
- A day that is imported later or replaced has its trends, and those of every later day, computed again.
"""


def schema():
    """What `compline schema` says: of each table its meaning, its columns and its order."""
    text = subprocess.run([COMPLINE, "schema"], capture_output=True, text=True, check=True, timeout=60).stdout
    for table in text.strip().split("\n\n"):
        first, *lines, order = table.splitlines()
        title, _, meaning = first.partition(": ")
        columns = [re.fullmatch(r"  (\w+)\s{2,}(.+?)\s{2,}(.+)", line).groups() for line in lines]
        yield title, meaning, columns, order.strip()


def tables_md():
    parts = ["# Tables\n\nOne file per table, day and aggregator: `TABLE/snapshot_date=YYYY-MM-DD/aggregator=ID/data.parquet`. The two partition columns are in the path and "
             "not in the\nfile. Account ids are text. Times are UTC. `compline schema` says the same. This page is generated: a change to it by hand fails a test.\n\n"
             "With `[maintain] compact` a table has months too: `TABLE_monthly/snapshot_month=YYYY-MM/aggregator=ID/data.parquet`, with the same columns.\n\n"
             "Rows are sorted, in row groups of 32,768 rows with statistics. What lies under `_compline/` is Compline's own; readers of the tables skip it.\n"
             "`_compline/runs/` has a JSON document of each run, with all that its summary says, `_compline/ledger/` one of each row of the ledger. What is noted of rules\n"
             "has a folder `dataset=rules/` there: `_compline/ledger/dataset=rules/`.\n",
             DEFINITIONS]
    for title, meaning, columns, order in schema():
        rows = "\n".join(f"| `{column}` | {kind} | {what} |" for column, kind, what in columns)
        sentence = order[0].upper() + order[1:]
        parts.append(f"\n## {title}\n\n{meaning[0].upper() + meaning[1:]}. {sentence}.\n\n| column | type | meaning |\n| --- | --- | --- |\n{rows}\n")
    return "".join(parts)


def test_tables_are_what_the_program_says():
    assert (ROOT / "docs/tables.md").read_text() == tables_md(), "write it again: see the top of this file"
    assert [table for table, *_ in schema()] == TABLES


def test_the_columns_that_are_told_are_those_of_the_files(lake):
    kinds = {"text": "string", "boolean": "bool", "int32": "int32", "int64": "int64", "double": "double", "date": "date32[day]",
             "timestamp (UTC, ms)": "timestamp[ms, tz=UTC]"}
    for table, _, columns, _ in schema():
        told = [(column, kinds[kind.removesuffix(", may be null")]) for column, kind, _ in columns if not kind.endswith("partition")]
        found = parquet.read_schema(next(lake.glob(f"{table}/*/*/*.parquet")))
        assert told == [(field.name, str(field.type)) for field in found], table


# Sizing.


def inputs():
    """The measured and given values of docs/sizing.md, and its prices."""
    text = (ROOT / "docs/sizing.md").read_text()
    rows = re.findall(r"^\| ([a-z][\w -]*?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", text, flags=re.M)
    prices = re.findall(r"^\| (S3|Athena)[^|]*\| ([\d.]+) \|$", text, flags=re.M)
    return {key: [int(value) for value in values] for key, *values in rows}, [float(price) for _, price in prices]


def computed():
    """The tables of docs/sizing.md that follow from the others."""
    given, (gb_month, puts, gets, terabyte) = inputs()
    calls, storage, athena = [], [], []
    for index, places in enumerate(given["account-regions"]):
        regions = given["regions"][index]
        rows = places * given["packs in each"][index]
        asked = 1 + math.ceil(places / 100) + 1 + math.ceil(places / regions / 100) + regions * math.ceil(rows / regions / 100)
        minutes = [asked / per_second / 60 for per_second in (1, 5, 10)]
        calls.append([f"{places:,}", f"{rows:,}", f"{asked:,}", *(f"{value:,.1f}" for value in minutes)])
        gigabytes = given["measured bytes of a night"][index] * 365 * 2 / 1e9
        # A night at 5 calls a second, with a lease that is renewed three times a minute.
        nightly = (48 + 3 * math.ceil(minutes[1])) * puts / 1000 + 77 * gets / 1000
        storage.append([f"{places:,}", f"{gigabytes:,.3f}", f"{gigabytes * gb_month:,.4f}", f"{nightly * 30:,.3f}"])
        a_query = max(gigabytes * 1e9, 1e7) / 1e12 * terabyte
        athena.append([f"{places:,}", f"{a_query:.5f}", f"{a_query * 1000:,.2f}"])
    return {
        "calls": table(["account-regions", "packs", "calls", "minutes at 1 a second", "at 5", "at 10"], calls),
        "storage": table(["account-regions", "GB of a year", "USD a month for them", "USD a month for requests"], storage),
        "athena": table(["account-regions", "USD, one query of a whole year", "USD, 1,000 of them"], athena),
    }


def table(head, rows):
    line = lambda cells: f"| {' | '.join(cells)} |\n"
    return line(head) + line(["---:"] * len(head)) + "".join(line(row) for row in rows)


def sizing_md():
    text = (ROOT / "docs/sizing.md").read_text()
    for title, rows in computed().items():
        text, count = re.subn(rf"(<!-- computed: {title} -->\n).*?(<!-- end -->)", rf"\1\n{rows}\n\2", text, flags=re.S)
        assert count == 1, title
    return text


def test_the_numbers_of_sizing_follow_from_its_inputs():
    assert (ROOT / "docs/sizing.md").read_text() == sizing_md(), "write it again: see the top of this file"


def test_a_night_of_100_account_regions_has_the_rows_and_calls_that_are_told(tmp_path):
    given, _ = inputs()
    simulator = Simulator("--accounts", "25", "--regions", "4", "--packs", "5")
    try:
        file = pipeline(tmp_path, tmp_path / "lake", simulator)
        for date in ("2026-11-26", "2026-11-27"):
            done = subprocess.run([COMPLINE, "run", file, "--date", date, "--json"], capture_output=True, text=True, timeout=120, check=True)
    finally:
        simulator.stop()
    night = json.loads(done.stdout)["aggregators"][0]
    assert (night["rows"], night["calls"]) == (given["measured rows"][0], given["measured calls"][0])
    assert night["bytes"] == pytest.approx(given["measured bytes of a night"][0], rel=0.05)


# The report.


def report_md():
    """docs/report.md with the definitions that the report itself has."""
    template = (ROOT / "crates/report/src/report.html").read_text()
    plain = lambda text: html.unescape(re.sub(r"</?code>", "`", text))
    definitions = [f"- **{plain(term)}**: {plain(meaning)}\n" for term, meaning in re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>\n", template.partition('<dl class="defs">')[2])]
    assert len(definitions) == template.partition('<dl class="defs">')[2].count("<dt>") > 10
    text, count = re.subn(r"(<!-- computed: definitions -->\n).*?(<!-- end -->)", lambda found: f"{found[1]}\n{''.join(definitions)}\n{found[2]}",
                          (ROOT / "docs/report.md").read_text(), flags=re.S)
    assert count == 1
    return text


def test_the_definitions_are_those_of_the_report():
    assert (ROOT / "docs/report.md").read_text() == report_md(), "write it again: see the top of this file"


def is_part(part, whole):
    """Whether an example in JSON is a part of a document."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and is_part(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(is_part, part, whole))
    return part == whole


@runs("docs/report.md", "The same for programs")
@runs("docs/report.md", "Who may read it")
def test_the_examples_of_the_report_are_what_the_program_prints(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "compline").symlink_to(pathlib.Path(COMPLINE).resolve())
    (programs / "aws").symlink_to(pathlib.Path(sys.executable).with_name("aws"))

    def sh(text):
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "AWS_DEFAULT_REGION": "eu-west-1"}
        return subprocess.run(["bash", "-euc", text], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True, timeout=60).stdout

    group, alone = "OrgConformsPack-cis-level1-ktai6huc", "web-baseline"
    days = {"2026-11-24": [("000000000001", group, 4), ("000000000002", group, 1), ("000000000002", alone, 4)],
            "2026-11-26": [("000000000001", group, 3), ("000000000002", group, 4), ("000000000002", alone, 4)]}
    pipeline(tmp_path, "lake", SimpleNamespace(url="http://127.0.0.1:9"))
    for date, packs in days.items():
        rows = [{"ConformancePackName": pack, "AccountId": account, "AwsRegion": "eu-west-1", "Compliance": {
            "ComplianceType": "COMPLIANT" if compliant == 4 else "NON_COMPLIANT", "CompliantRuleCount": compliant,
            "NonCompliantRuleCount": 4 - compliant, "TotalRuleCount": 4}} for account, pack, compliant in packs]
        (tmp_path / "answer.json").write_text(json.dumps({"AggregateComplianceByConformancePacks": rows}))
        sh(f"compline import pipeline.toml --aggregator org --date {date} answer.json")
    blocks = [block for block in BLOCKS if block.file == "docs/report.md"]
    names, = (block.text for block in blocks if block.heading == "Names of accounts")
    (tmp_path / "names.csv").write_text(names)
    as_csv, csv_shown, as_json, json_shown, as_markdown, markdown_shown = (block.text for block in blocks if block.heading == "The same for programs")
    assert sh(as_csv) == csv_shown
    assert is_part(json.loads(json_shown), json.loads(sh(as_json)))
    assert sh(as_markdown).startswith(markdown_shown) and len(markdown_shown.splitlines()) > 10
    presign, = commands("docs/report.md", "Who may read it")
    assert "/compline/reports/latest.html?" in sh(presign)


def test_a_rule_of_the_bucket_lets_reports_expire(scene):
    scene.make()
    setup, = (block for block in commands("docs/setup.md", "2. Make the bucket") if "lifecycle.json" in block)
    rules = json.loads(re.search(r"<<'END'\n(.*?)\nEND\n", setup, flags=re.S)[1])["Rules"]
    more, = (json.loads(block.text) for block in of("json") if block.file == "docs/report.md" and block.heading == "How long they stay")
    scene.s3.put_bucket_lifecycle_configuration(Bucket=scene.bucket, LifecycleConfiguration={"Rules": [*rules, more]})
    assert [rule["ID"] for rule in scene.s3.get_bucket_lifecycle_configuration(Bucket=scene.bucket)["Rules"]] == ["leases", "uploads", "reports"]


# Queries.

QUERIES = {int(number): (title, sql) for number, title, sql in
           re.findall(r"^## (\d+)\. (.*?)\n\n```sql\n(.*?)```", (ROOT / "docs/queries.md").read_text(), flags=re.M | re.S)}
# Of these the demo may have nothing to tell.
MAY_BE_EMPTY = {9, 10}


def of_the_lake(sql, database):
    """A query with the account and the date of the lake in place of its examples."""
    account, date = database.execute("""SELECT account_id, snapshot_date FROM compline.pack_compliance
        WHERE compliance_type = 'NON_COMPLIANT' AND account_id IN (SELECT account_id FROM compline.pack_changes) ORDER BY snapshot_date DESC, account_id LIMIT 1""").fetchone()
    return sql.replace("'000000000001'", f"'{account}'").replace("DATE '2026-11-26'", f"DATE '{date}'")


@pytest.fixture(scope="module")
def database(lake):
    """The demo's lake with a day that nobody ran, under the names that Athena has."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute("CREATE SCHEMA compline")
    for title in TABLES:
        database.execute(f"""CREATE TABLE compline.{title} AS SELECT * REPLACE (CAST(snapshot_date AS DATE) AS snapshot_date)
            FROM read_parquet('{lake}/{title}/*/*/*.parquet', hive_partitioning = true)""")
        for column, kind, *_ in database.sql(f"DESCRIBE compline.{title}").fetchall():
            # Trino has them in UTC and without a zone.
            if kind == "TIMESTAMP WITH TIME ZONE":
                database.execute(f"ALTER TABLE compline.{title} ALTER {column} TYPE TIMESTAMP USING {column} AT TIME ZONE 'UTC'")
        database.execute(f"DELETE FROM compline.{title} WHERE snapshot_date = DATE '{day(3)}'")
    for view in sqlglot.parse((ROOT / "pipelines/nightly/athena/views.sql").read_text(), read="trino"):
        # Trino's max_by gives a null that stands at the maximum; DuckDB has another function for that.
        database.execute(view.sql(dialect="duckdb").replace("ARG_MAX(", "ARG_MAX_NULL("))
    return database


def test_there_are_twenty_questions_and_three_of_rules_in_order():
    assert list(QUERIES) == list(range(1, 24))
    assert len(of("sql")) == 23, "each SQL of a document is one of them"


@pytest.mark.parametrize("number", QUERIES)
def test_a_query_is_in_the_dialect_of_athena_and_names_its_columns(number):
    _, sql = QUERIES[number]
    for dialect in ("trino", "athena"):
        query = sqlglot.parse_one(sql, read=dialect)
        assert not [star for star in query.find_all(sqlglot.exp.Star) if not isinstance(star.parent, sqlglot.exp.Count)]
        assert query.args.get("order"), "an answer has an order"
        # What the engine would understand is what is written.
        assert not query.find(sqlglot.exp.Command)


@pytest.mark.parametrize("number", QUERIES)
def test_a_query_runs_and_has_the_columns_that_it_names(number, database):
    title, sql = QUERIES[number]
    answer = database.execute(of_the_lake(sql, database))
    columns = [column[0] for column in answer.description]
    assert columns == sqlglot.parse_one(sql, read="trino").named_selects
    rows = answer.fetchall()
    assert rows or number in MAY_BE_EMPTY, title


def test_answers_are_those_of_the_tables(database):
    """Some of the answers, counted in another way."""
    ask = lambda number: database.execute(of_the_lake(QUERIES[number][1], database)).fetchall()
    latest = "(SELECT max(snapshot_date) FROM compline.pack_compliance)"
    assert len(ask(3)) == database.execute(f"SELECT count(*) FROM compline.pack_changes WHERE change = 'regressed' AND snapshot_date = {latest}").fetchone()[0]
    open_now = f"SELECT count(*) FROM compline.pack_compliance WHERE compliance_type = 'NON_COMPLIANT' AND snapshot_date = {latest}"
    assert sum(row[-1] for row in ask(5)) == database.execute(open_now).fetchone()[0]
    assert {str(row[1]) for row in ask(7)} == {day(3)}, "the day that nobody ran"
    assert all(row[3] == row[4] for row in ask(12))
    # On a day with rules, which are rows of the ledger and not of the packs' table.
    on = lambda number: database.execute(QUERIES[number][1].replace("2026-11-26", day(1))).fetchall()
    assert {row[1] for row in on(11)} == {"packs", "rules"}
    assert [row[0] for row in on(12)] == ["org", "security"] and all(row[3] == row[4] for row in on(12))
    failing = """FROM compline.rule_compliance WHERE compliance_type = 'NON_COMPLIANT' AND snapshot_date = (SELECT max(snapshot_date) FROM compline.rule_compliance)"""
    by_group = database.execute(f"SELECT aggregator, rule_group, count(DISTINCT account_id), count(*) {failing} GROUP BY ALL").fetchall()
    assert sorted(row[:4] for row in ask(22)) == sorted(by_group)
    assert len(ask(23)) == min(20, sum(row[3] for row in by_group))
    for aggregator, account, region, group in ask(14)[:5]:
        there = database.execute(f"""SELECT count(*) FROM compline.pack_compliance WHERE snapshot_date = {latest} AND aggregator = ? AND account_id = ?
            AND aws_region = ? AND pack_group = ?""", [aggregator, account, region, group]).fetchone()[0]
        assert there == 0


# Procedures.


def pipeline(folder, lake, simulator, aggregator="org", more="", file="pipeline.toml", catalog=""):
    path = folder / file
    region = 'region = "eu-west-1"' if str(lake).startswith("s3:") else ""
    path.write_text(f"""version = 1
[lake]
url = "{lake}"
{region}
[[aggregator]]
id = "{aggregator}"
name = "org-aggregator"
region = "eu-west-1"
{more}
[fetch]
endpoint_url = "{simulator.url}/{{date}}"
[archive]
raw = true
{catalog}
""")
    return path


class Scene:
    """A lake in a versioned bucket of moto, and a shell whose `compline` and `aws` see nothing else."""

    def __init__(self, folder, simulator, moto_server, bucket):
        self.folder, self.simulator, self.bucket = folder, simulator, bucket
        self.s3 = boto3.client("s3", region_name="eu-west-1", endpoint_url=moto_server)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "compline").symlink_to(pathlib.Path(COMPLINE).resolve())
        (programs / "aws").symlink_to(pathlib.Path(sys.executable).with_name("aws"))
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": moto_server,
                            "AWS_ENDPOINT_URL_CONFIG_SERVICE": simulator.url, "AWS_PAGER": "", "RUST_LOG": "warn"}

    def make(self, more="", aggregator="org"):
        if self.bucket not in [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]:
            self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        catalog = f'[catalog]\ndatabase = "{self.bucket}"'
        self.file = pipeline(self.folder, f"s3://{self.bucket}/compline", self.simulator, aggregator, more, catalog=catalog)
        return self

    def sh(self, text, code=0, **variables):
        """Runs commands of a document, as one script."""
        variables = {"FILE": "pipeline.toml", "ID": "org", "DAY": day(0), **variables}
        preamble = "set -euo pipefail\n" + "".join(f"{key}='{value}'\n" for key, value in variables.items())
        text = text.replace("example-compliance-history", self.bucket)
        done = subprocess.run(["bash", "-c", preamble + text], capture_output=True, text=True, timeout=300, cwd=self.folder, env=self.environment)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    def night(self, ago, code=0):
        return self.sh(f"compline run pipeline.toml --date {day(ago)}", code)

    def verified(self):
        assert "OK: no problems found" in self.sh("compline verify pipeline.toml")

    def key(self, table, ago, aggregator="org"):
        return f"compline/{table}/snapshot_date={day(ago)}/aggregator={aggregator}/data.parquet"

    def damage(self, table, ago):
        key = self.key(table, ago)
        whole = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=whole[: len(whole) // 2])
        return whole

    def read(self, table, ago, aggregator="org"):
        path = self.folder / "read.parquet"
        path.write_bytes(self.s3.get_object(Bucket=self.bucket, Key=self.key(table, ago, aggregator))["Body"].read())
        return parquet.ParquetFile(path).read().to_pylist()

    def snapshots(self, aggregator="org"):
        keys = [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket, Prefix="compline/pack_compliance/").get("Contents", [])]
        return sorted(re.search("snapshot_date=([^/]*)", key)[1] for key in keys if f"aggregator={aggregator}/" in key)


@pytest.fixture
def scene(tmp_path, simulator, moto_server, request):
    bucket = "docs" + "".join(letter for letter in request.node.name.lower() if letter.isalnum())[5:55]
    return Scene(tmp_path, simulator, moto_server, bucket)


OPERATIONS = "docs/operations.md"


@runs("docs/setup.md")
@runs("README.md", "On AWS")
def test_set_up_from_zero_to_the_first_query(scene, simulator, lake):
    # The simulator of these tests answers as of a day of its own; AWS Config answers for today.
    scene.environment["AWS_ENDPOINT_URL_CONFIG_SERVICE"] = f"{simulator.url}/{day(0)}"
    said = scene.sh("\n".join(commands("docs/setup.md")))
    assert "✗" not in said and "the catalog is up to date" in said and "OK: no problems found" in said
    assert scene.snapshots() == [day(0)]
    rules = scene.s3.get_bucket_lifecycle_configuration(Bucket=scene.bucket)["Rules"]
    assert len(rules) == 2 and scene.s3.get_bucket_versioning(Bucket=scene.bucket)["Status"] == "Enabled"
    # The first query, where Athena is not at hand, on the same tables.
    database = duckdb.connect()
    database.execute("CREATE SCHEMA compline")
    for title in WITHOUT_RULES:
        rows = scene.folder / f"{title}.parquet"
        rows.write_bytes(scene.s3.get_object(Bucket=scene.bucket, Key=scene.key(title, 0))["Body"].read())
        database.execute(f"CREATE TABLE compline.{title} AS SELECT *, DATE '{day(0)}' AS snapshot_date, 'org' AS aggregator FROM read_parquet('{rows}')")
    # The catalog has the tables of rules too, without a row.
    for title in RULE_TABLES:
        rows = next(lake.glob(f"{title}/*/*/*.parquet"))
        database.execute(f"CREATE TABLE compline.{title} AS SELECT *, DATE '{day(0)}' AS snapshot_date, 'org' AS aggregator FROM read_parquet('{rows}') LIMIT 0")
    for view in sqlglot.parse((ROOT / "pipelines/nightly/athena/views.sql").read_text(), read="trino"):
        database.execute(view.sql(dialect="duckdb").replace("ARG_MAX(", "ARG_MAX_NULL("))
    assert len(database.execute((scene.folder / "first.sql").read_text()).fetchall()) == 20
    # What README has of it, with a program that is built.
    block, = commands("README.md", "On AWS")
    first, rest = block.split("\n", 1)
    assert first == "cargo build --release"
    scene.sh(rest.replace("target/release/compline", "compline"))


@runs("docs/terminal.md")
def test_the_first_pipeline_file_quiet_and_completions(scene, simulator):
    scene.environment["AWS_ENDPOINT_URL_CONFIG_SERVICE"] = f"{simulator.url}/{day(0)}"
    scene.make().file.unlink()
    quiet, = commands("docs/terminal.md", "At the terminal")
    init, = commands("docs/terminal.md", "A first pipeline file")
    rest, = commands("docs/terminal.md", "Completions and manual pages")
    assert "org-aggregator in eu-west-1" in scene.sh(init)
    # Nothing was collected yet.
    said = scene.sh(quiet)
    assert said.startswith("look at the lake\n") and "TOO OLD: there is no snapshot" in said, "what it says of that is on stderr"
    scene.sh("compline run pipeline.toml")
    assert scene.sh(quiet) == ""
    scene.sh(rest)
    assert (scene.folder / "compline.bash").read_text().startswith("_compline()") and (scene.folder / "man1/compline-run.1").exists()


def test_every_schema_of_json_is_in_the_documents():
    text = (ROOT / "docs/terminal.md").read_text()
    assert set(re.findall(r"\]\(json/(\w+)\.schema\.json\)", text)) == {path.name.partition(".")[0] for path in (ROOT / "docs/json").iterdir()}


def test_the_picture_is_small_enough_to_be_looked_at():
    assert (ROOT / "docs/report.png").stat().st_size < 200_000


@runs(OPERATIONS, "Operations")
@runs(OPERATIONS, "Exit code 1")
@runs(OPERATIONS, "Exit code 3")
@runs(OPERATIONS, "Exit code 5")
@runs(OPERATIONS, "Upgrading")
def test_what_is_run_first_and_after_each_exit_code(scene):
    scene.make().night(0)
    first = [block for block in commands(OPERATIONS, "Operations") if "compline" in block]
    assert len(first) == 1 and "OK: no problems found" in scene.sh(first[0])
    for heading in ("Exit code 1", "Exit code 3", "Exit code 5", "Upgrading"):
        scene.sh("\n".join(commands(OPERATIONS, heading)))
    scene.verified()


def test_exit_codes_are_what_is_told(scene, faulty_simulator):
    scene.make()
    assert "no such aggregator" in scene.sh("compline run pipeline.toml --only nobody", 2)
    scene.sh("compline status pipeline.toml", 1)
    scene.file.write_text(scene.file.read_text().replace('"org-aggregator"', '"no-such-aggregator"'))
    scene.night(0, 1)
    # One of two.
    scene.make(more='[[aggregator]]\nid = "other"\nname = "no-such-aggregator"\nregion = "eu-west-1"')
    scene.night(0, 3)
    # One that reads while another comes, and is stopped.
    scene.make()
    slow = faulty_simulator("latency_millis=3000")
    pipeline(scene.folder, f"s3://{scene.bucket}/compline", slow, file="slow.toml")
    for signal, code in (("INT", 130), ("TERM", 143)):
        scene.sh(f"""
            set -m; compline run slow.toml 2>slow.log & RUN=$!
            until aws s3 ls --recursive s3://{scene.bucket}/compline/_compline/lease/ | grep -q lease; do sleep 0.2; done
            sleep 1
            code=0; compline run pipeline.toml || code=$?
            [ "$code" = 5 ] || {{ kill $RUN; exit 99; }}
            kill -{signal} $RUN; code=0; wait $RUN || code=$?; exit $code""", code)
    scene.night(0)
    scene.verified()


@runs(OPERATIONS, "A held day")
def test_a_held_day(scene):
    scene.make().night(2)
    smaller = Simulator("--accounts", "10")
    try:
        pipeline(scene.folder, f"s3://{scene.bucket}/compline", smaller, file="smaller.toml")
        held = lambda ago: scene.sh(f"compline run smaller.toml --date {day(ago)}", 4)
        assert "held, not committed" in held(1)
        assert scene.snapshots() == [day(2)], "it is in no table"
        accept, reject = commands(OPERATIONS, "A held day")
        assert "rejected" in scene.sh(reject, DAY=day(1))
        held(1)
        held(0)
        # The oldest first, days later.
        scene.sh(accept, DAY=day(1))
        scene.sh(accept, DAY=day(0))
    finally:
        smaller.stop()
    assert scene.snapshots() == [day(2), day(1), day(0)]
    scene.verified()


@runs(OPERATIONS, "A missed night")
@runs("docs/import.md")
def test_a_missed_night(scene, simulator):
    scene.make().night(2)
    scene.night(0)
    assert f"no snapshot: {day(1)}" in scene.sh("compline verify pipeline.toml")
    # Somebody asked on that day.
    scene.environment["AWS_ENDPOINT_URL_CONFIG_SERVICE"] = f"{simulator.url}/{day(1)}"
    scene.sh("\n".join(commands(OPERATIONS, "A missed night")), DAY=day(1))
    assert scene.snapshots() == [day(2), day(1), day(0)]
    assert {row["previous_snapshot_date"] for row in scene.read("compliance_trends", 0)} == {datetime.date.fromisoformat(day(1))}
    block, = commands("docs/import.md")
    scene.environment["AWS_ENDPOINT_URL_CONFIG_SERVICE"] = f"{simulator.url}/{day(3)}"
    assert "2026-11-24" in block
    scene.sh(block.replace("2026-11-24", day(3)))
    assert scene.snapshots() == [day(3), day(2), day(1), day(0)]
    scene.verified()


@runs(OPERATIONS, "A damaged file")
def test_a_damaged_file(scene):
    scene.make()
    # One of a month that is over.
    for ago in (40, 2, 1):
        scene.night(ago)
    repair, versions, restore, archive, of_month = commands(OPERATIONS, "A damaged file")
    # What is computed.
    for table in ("pack_status", "compliance_trends", "pack_changes", "runs"):
        scene.damage(table, 1)
        scene.sh("compline verify pipeline.toml", 1)
        assert "OK: no problems found" in scene.sh(repair + 'compline verify "$FILE"'), table
    # A snapshot, while nights go on.
    whole = scene.damage("pack_compliance", 1)
    said = scene.sh("compline verify pipeline.toml", 1)
    assert "pack_compliance" in said and "restore an earlier version" in said
    scene.night(0, 3)
    assert scene.snapshots() == [day(40), day(2), day(1), day(0)], "tonight is committed"
    said = scene.sh(versions + restore, DAY=day(1))
    assert "OK: no problems found" in said
    assert scene.s3.get_object(Bucket=scene.bucket, Key=scene.key("pack_compliance", 1))["Body"].read() == whole
    # One that was deleted.
    scene.s3.delete_object(Bucket=scene.bucket, Key=scene.key("pack_compliance", 1))
    scene.sh("compline verify pipeline.toml", 1)
    assert "Versions[1]" in restore
    assert "OK: no problems found" in scene.sh(versions + restore.replace("Versions[1]", "Versions[0]"), DAY=day(1))
    # No version.
    scene.damage("pack_compliance", 1)
    assert "OK: no problems found" in scene.sh(archive, DAY=day(1), BUCKET=scene.bucket)
    # Neither, but its month.
    scene.file.write_text(scene.file.read_text() + '\n[maintain]\ncompact = ["pack_compliance", "source_status"]\n')
    scene.sh("compline maintain pipeline.toml --apply")
    whole = scene.damage("pack_compliance", 40)
    assert "OK: no problems found" in scene.sh(of_month, DAY=day(40))
    assert scene.s3.get_object(Bucket=scene.bucket, Key=scene.key("pack_compliance", 40))["Body"].read() == whole
    scene.night(0)
    scene.verified()


@runs(OPERATIONS, "Moving a lake")
def test_moving_a_lake(scene):
    scene.make()
    for ago in (2, 1):
        scene.night(ago)
    moved = f"{scene.bucket}-moved"
    scene.s3.create_bucket(Bucket=moved, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    copy, after = commands(OPERATIONS, "Moving a lake")
    scene.sh(copy, OLD=f"{scene.bucket}/compline", NEW=f"{moved}/compline")
    old = scene.bucket
    scene.file.write_text(scene.file.read_text().replace(f"s3://{old}/", f"s3://{moved}/"))
    said = scene.sh(after)
    assert "✗" not in said and "OK: no problems found" in said
    scene.bucket = moved
    scene.night(0)
    assert scene.snapshots() == [day(2), day(1), day(0)]
    assert {row["previous_snapshot_date"] for row in scene.read("compliance_trends", 0)} == {datetime.date.fromisoformat(day(1))}
    scene.verified()


@runs(OPERATIONS, "Renaming or retiring an aggregator")
def test_renaming_and_retiring(scene):
    scene.make().night(1)
    scene.make(aggregator="renamed").night(0)
    assert scene.snapshots() == [day(1)] and scene.snapshots("renamed") == [day(0)]
    said = scene.sh("\n".join(commands(OPERATIONS, "Renaming or retiring an aggregator")), ID="renamed")
    assert "OK: no problems found" in said and "TOO OLD" not in said, "the old id is asked for no more"
    assert {row["previous_snapshot_date"] for row in scene.read("compliance_trends", 0, "renamed")} == {None}


@runs(OPERATIONS, "Changing a filter")
def test_changing_a_filter(scene):
    scene.make().night(1)
    scene.make(more='[aggregator.include]\naws_region = "eu-west-1"')
    scene.sh("\n".join(commands(OPERATIONS, "Changing a filter")))
    trends = scene.read("compliance_trends", 0)
    assert {row["population_since"] for row in trends} == {datetime.date.fromisoformat(day(0))}
    assert {row["previous_snapshot_date"] for row in trends} == {None} and {row["packs_removed"] for row in trends} == {None}
    assert "facts only" in scene.make(more='[[aggregator.filter]]\ncompliance_type = "NON_COMPLIANT"').night(0)
    scene.verified()


def test_two_versions_at_once(scene, tmp_path):
    """A day of a version that is not yet made: its files, but for the number in them."""
    scene.make()
    for ago in (2, 1):
        scene.night(ago)
    newer = {}
    for title in WITHOUT_RULES:
        file = tmp_path / "newer.parquet"
        key = scene.key(title, 1)
        file.write_bytes(scene.s3.get_object(Bucket=scene.bucket, Key=key)["Body"].read())
        rows = parquet.ParquetFile(file).read()
        parquet.write_table(rows.replace_schema_metadata({**rows.schema.metadata, b"compline.schema_version": b"99"}), file)
        newer[key] = file.read_bytes()
        scene.s3.put_object(Bucket=scene.bucket, Key=key, Body=newer[key])
    assert "a newer compline wrote it" in scene.night(0, 1)
    assert scene.snapshots() == [day(2), day(1)]
    for key, text in newer.items():
        assert scene.s3.get_object(Bucket=scene.bucket, Key=key)["Body"].read() == text


@pytest.mark.parametrize("version", sorted(path.name for path in (ROOT / "tests/golden").glob("lake_v*")))
def test_a_lake_of_an_earlier_version_is_read_as_it_is(version, simulator, tmp_path):
    lake = tmp_path / "lake"
    subprocess.run(["cp", "-r", ROOT / "tests/golden" / version, lake], check=True)
    before = {path: path.read_bytes() for path in lake.glob("*/snapshot_date=*/*/*.parquet")}
    file = pipeline(tmp_path, lake, simulator)
    for command in (["run", file], ["verify", file]):
        subprocess.run([COMPLINE, *command], check=True, timeout=120, stdout=subprocess.DEVNULL)
    assert before and {path: path.read_bytes() for path in before} == before


if __name__ == "__main__":
    (ROOT / "docs/tables.md").write_text(tables_md())
    (ROOT / "docs/sizing.md").write_text(sizing_md())
    (ROOT / "docs/report.md").write_text(report_md())
