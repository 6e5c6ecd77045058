"""The questions of docs/queries.md on a real engine of Athena's kind, beside DuckDB on the same files."""

import pathlib
import re

import pytest

from conftest import DAYS, GAPS, today
from test_trino import same

TEXT = pathlib.Path(__file__, "../../../docs/queries.md").resolve().read_text()
QUERIES = {int(number): sql for number, sql in re.findall(r"^## (\d+)\. .*?\n\n```sql\n(.*?)```", TEXT, flags=re.M | re.S)}
# Of these the demo may have nothing to tell.
MAY_BE_EMPTY = {9, 10, 14}


def of_the_lake(sql, duck):
    """A query with an account and a day of the lake in place of its examples; of rules a day that has something to tell."""
    account, day = duck.execute("""SELECT account_id, snapshot_date FROM compline.pack_compliance
        WHERE compliance_type = 'NON_COMPLIANT' AND account_id IN (SELECT account_id FROM compline.pack_changes)
        ORDER BY snapshot_date DESC, account_id LIMIT 1""").fetchone()
    if "why_regressed" in sql:
        day, = duck.execute("SELECT max(snapshot_date) FROM compline.why_regressed WHERE is_told").fetchone()
    return sql.replace("'000000000001'", f"'{account}'").replace("DATE '2026-11-26'", f"DATE '{day}'")


def plain(rows):
    """Rows without what is a date to one engine and its midnight to the other."""
    return same([tuple(str(field)[:10] if hasattr(field, "year") else field for field in row) for row in rows])


@pytest.mark.parametrize("number", QUERIES)
def test_a_question_has_the_same_answer_on_trino_and_duckdb(trino, databases, duck, number):
    sql = of_the_lake(QUERIES[number], duck)
    found = trino.ask(re.sub(r"\bcompline\.(\w+)", r"awsdatacatalog.projection.\1", sql))
    answer = duck.execute(sql)
    assert [column for column, _ in found.columns] == [column[0] for column in answer.description]
    rows = answer.fetchall()
    assert rows or number in MAY_BE_EMPTY
    assert plain(found.rows) == plain(rows)


def test_there_are_twenty_questions_and_three_of_rules_over_days_and_gaps():
    assert len(QUERIES) == 23 and DAYS > 31 and GAPS and today()


READERS = pathlib.Path(__file__, "../../../pipelines/nightly/readers").resolve()


@pytest.mark.parametrize("name", ["grafana", "quicksight"])
def test_what_is_for_dashboards_has_the_same_rows_on_trino_and_duckdb(trino, databases, duck, name):
    # As Grafana's data source sends its macro.
    text = re.sub(r"\$__dateFilter\((\w+)\)", r"\1 BETWEEN date '2000-01-01' AND date '2999-12-31'", (READERS / f"{name}.sql").read_text())
    statements = [statement for statement in text.split(";") if statement.strip()]
    assert statements
    for statement in statements:
        found = trino.ask(re.sub(r"\bcompline\.(\w+)", r"awsdatacatalog.projection.\1", statement))
        answer = duck.execute(statement)
        assert [column for column, _ in found.columns] == [column[0] for column in answer.description]
        rows = answer.fetchall()
        assert rows and plain(found.rows) == plain(rows)
