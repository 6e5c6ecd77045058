"""How large a file is, and how little of it a reader of one account needs: on rows that are many."""

import io
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest

from conftest import COMPLINE, Simulator, duckdb_with_httpfs, pipeline_text


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The lake of one night of an organization with some 130,000 packs."""
    lake = tmp_path_factory.mktemp("large") / "lake"
    command = [COMPLINE, "demo", "--lake", lake, "--days", "1", "--accounts", "2000", "--regions", "17"]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    return lake


@pytest.fixture(scope="module")
def large_of_rules(tmp_path_factory):
    """The same of one with some 110,000 rules."""
    folder, simulator = tmp_path_factory.mktemp("large-of-rules"), Simulator("--accounts", "300")
    try:
        (folder / "pipeline.toml").write_text(pipeline_text(folder / "lake", more=f'[fetch]\nendpoint_url = "{simulator.url}/{{date}}"', rules=True))
        command = [COMPLINE, "run", folder / "pipeline.toml", "--date", "2026-03-01", "--only", "org"]
        subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
    finally:
        simulator.stop()
    return folder / "lake"


@pytest.fixture(params=["pack_compliance", "rule_compliance"])
def facts(request):
    """The file of a large day, of packs and of rules."""
    return file(request.getfixturevalue("large" if request.param == "pack_compliance" else "large_of_rules"), request.param)


def file(lake, table):
    return next((lake / table).glob("*/aggregator=org/data.parquet"))


def one_account(facts):
    """An account from the middle, and how many rows it has."""
    accounts = pq.ParquetFile(facts).read(["account_id"])["account_id"].to_pylist()
    account = accounts[len(accounts) // 2]
    return account, accounts.count(account)


def sizes(path):
    """The size of a file, and of what pyarrow makes of its rows."""
    rows = pq.ParquetFile(path).read()
    other = io.BytesIO()
    pq.write_table(rows, other, compression="zstd")
    return path.stat().st_size, len(other.getvalue()), rows.num_rows


@pytest.mark.parametrize("table", ["pack_compliance", "pack_status"])
def test_a_large_file_is_at_most_four_fifths_of_what_pyarrow_writes_with_zstd(large, table):
    is_at_most(0.8, file(large, table))


# The names of rules end with the id of their pack, another one in each account and region.
@pytest.mark.parametrize("table, share", [("rule_compliance", 0.9), ("rule_status", 0.93)])
def test_a_large_file_of_rules_is_smaller_than_what_pyarrow_writes_with_zstd(large_of_rules, table, share):
    is_at_most(share, file(large_of_rules, table))


def is_at_most(share, path):
    ours, theirs, rows = sizes(path)
    print(f"{path}: {ours} of {theirs} bytes, {ours / theirs:.3f}")
    assert rows > 100_000 and ours <= share * theirs


def test_a_night_is_at_most_four_fifths_of_what_pyarrow_writes_with_zstd(large):
    both = [sizes(path) for path in large.glob("*/*/*/data.parquet")]
    ours, theirs = sum(ours for ours, _, _ in both), sum(theirs for _, theirs, _ in both)
    print(f"every table: {ours} of {theirs} bytes, {ours / theirs:.3f}")
    assert ours <= 0.8 * theirs


class Counted(io.FileIO):
    """A file that knows how much of it was read."""

    bytes_read = 0

    def read(self, size=-1):
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def test_pyarrow_reads_a_small_part_of_the_file_for_one_account(facts):
    account, count = one_account(facts)
    counted = Counted(facts)
    rows = pq.read_table(counted, filters=[("account_id", "=", account)], pre_buffer=False)
    assert rows.num_rows == count
    share = counted.bytes_read / facts.stat().st_size
    print(f"pyarrow read {share:.3f} of the file")
    assert share < 0.5


def test_the_statistics_leave_one_or_two_row_groups_for_one_account(facts):
    account, _ = one_account(facts)
    footer = pq.read_metadata(facts)
    statistics = [footer.row_group(number).column(0).statistics for number in range(footer.num_row_groups)]
    assert footer.num_row_groups >= 4
    assert 1 <= sum(group.min <= account <= group.max for group in statistics) <= 2


@pytest.fixture
def served(facts):
    """The file over HTTP with ranges; gives its address and the bytes that were asked for."""
    sent = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def body(self):
            whole = (facts.parent / self.path.lstrip("/")).read_bytes()
            if "Range" not in self.headers:
                return 200, whole, {}
            start, end = self.headers["Range"].removeprefix("bytes=").split("-")
            start, end = int(start), min(int(end) if end else len(whole) - 1, len(whole) - 1)
            return 206, whole[start:end + 1], {"Content-Range": f"bytes {start}-{end}/{len(whole)}"}

        def do_GET(self, send=True):
            status, body, headers = self.body()
            self.send_response(status)
            for name, value in {**headers, "Accept-Ranges": "bytes", "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if send:
                sent.append(len(body))
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET(send=False)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()


def test_duckdb_fetches_a_small_part_of_the_file_for_one_account(facts, served):
    url, sent = served
    account, count = one_account(facts)
    query = f"FROM read_parquet('{url}/{facts.name}') WHERE account_id = '{account}'"
    database = duckdb_with_httpfs()
    database.execute("SET threads = 1")
    assert database.sql(query).to_arrow_table().num_rows == count
    share = sum(sent) / facts.stat().st_size
    print(f"DuckDB fetched {share:.3f} of the file")
    assert share < 0.4
