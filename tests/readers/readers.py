"""The same table read by each of other people's tools, from a folder or from S3."""

import pathlib
from dataclasses import dataclass

import polars
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem, S3FileSystem

from conftest import duckdb_with_httpfs

PARTITIONING = ds.partitioning(pa.schema([("snapshot_date", pa.date32()), ("aggregator", pa.string())]), flavor="hive")


@dataclass
class Lake:
    """A lake: a folder, or a bucket and prefix on a server."""

    path: str
    endpoint: str = ""

    def url(self, scheme="s3"):
        return f"{scheme}://{self.path}" if self.endpoint else self.path


def in_folder(path: pathlib.Path) -> Lake:
    return Lake(str(path))


def in_pyarrow(lake, table):
    if lake.endpoint:
        files = S3FileSystem(access_key="test", secret_key="test", endpoint_override=lake.endpoint, region="us-east-1")
    else:
        files = LocalFileSystem()
    return ds.dataset(f"{lake.path}/{table}", filesystem=files, format="parquet", partitioning=PARTITIONING).to_table()


def in_duckdb(lake, table):
    database = duckdb_with_httpfs()
    if lake.endpoint:
        host = lake.endpoint.removeprefix("http://")
        database.execute(f"""CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', REGION 'us-east-1', ENDPOINT '{host}',
            URL_STYLE 'path', USE_SSL false)""")
    query = f"SELECT * FROM read_parquet('{lake.url()}/{table}/*/*/*.parquet', hive_partitioning = true)"
    return database.sql(query).to_arrow_table()


def in_polars(lake, table):
    schema = {"snapshot_date": polars.Date, "aggregator": polars.String}
    options = {"aws_endpoint_url": lake.endpoint, "aws_access_key_id": "test", "aws_secret_access_key": "test",
               "aws_region": "us-east-1", "aws_allow_http": "true"} if lake.endpoint else None
    return polars.scan_parquet(f"{lake.url()}/{table}/", hive_schema=schema, storage_options=options).collect().to_arrow()


def in_spark(spark, lake, table):
    return spark.read.parquet(f"{lake.url('s3a')}/{table}").toArrow()


def plain(kind):
    """A type without what readers name differently: the width of text offsets, the unit of times."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return f"timestamp {'UTC' if kind.tz else 'naive'}"
    return str(kind)


def types(table):
    return {field.name: plain(field.type) for field in table.schema}


def rows(table):
    """Every row, in an order of its own, times as milliseconds."""
    names = sorted(table.column_names)
    columns = []
    for name in names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
        columns.append(column.to_pylist())
    return sorted(zip(*columns), key=repr)
