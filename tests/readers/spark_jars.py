"""Hadoop's way to S3, which Spark comes without. `tests/set_up` runs this to fetch it, before there are two Sparks: those that fetch at the
same time spoil each other's files."""

import pathlib
import sys

import pyspark
from pyspark.sql import SparkSession

IVY = pathlib.Path(sys.prefix, "ivy")


def fetch():
    jars = pathlib.Path(pyspark.__file__).parent / "jars"
    hadoop = next(jars.glob("hadoop-client-api-*.jar")).stem.removeprefix("hadoop-client-api-")
    sdk = [f"software.amazon.awssdk:{name}:2.57.8" for name in ("s3", "s3-transfer-manager", "sts", "apache-client")]
    options = {
        "spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
        "spark.jars.packages": ",".join([f"org.apache.hadoop:hadoop-aws:{hadoop}", *sdk]),
        # All of AWS in one jar, many times the size of what is needed.
        "spark.jars.excludes": "software.amazon.awssdk:bundle",
        "spark.jars.ivy": str(IVY),
    }
    SparkSession.builder.master("local[1]").config(map=options).getOrCreate().stop()


def fetched():
    """What Spark's `spark.jars` are to be."""
    return ",".join(sorted(str(jar) for jar in (IVY / "jars").glob("*.jar")))


if __name__ == "__main__":
    fetch()
