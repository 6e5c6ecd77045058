"""The job of a night with the AWS CLI and DuckDB: the CLI reads each list to its end into a file of JSON, DuckDB makes Parquet of them.

    with_cli.py URL FOLDER DATE
"""

import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor

AWS = os.environ.get("AWS", pathlib.Path(sys.executable).parent / "aws")
PARQUET = "(FORMAT parquet, COMPRESSION zstd)"


def ask(url, operation, query, out, *arguments):
    """Every page of a list; `--query` makes an array of it, which DuckDB reads in pieces."""
    command = [AWS, "configservice", operation, "--configuration-aggregator-name", "org-aggregator", "--query", query, "--output", "json",
               "--region", "eu-west-1", "--endpoint-url", url, *arguments]
    with open(out, "w") as file:
        subprocess.run(command, check=True, stdout=file, env={**os.environ, "AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "10"})


def main(url, folder, date):
    files = pathlib.Path(tempfile.mkdtemp(dir=folder))
    run_id, collected_at = str(uuid.uuid4()), datetime.datetime.now(datetime.timezone.utc)
    ask(url, "describe-configuration-aggregator-sources-status", "AggregatedSourceStatusList[]", files / "sources.json")

    import duckdb  # after the CLI has begun, which needs none of it

    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute(f"""
        CREATE TABLE sources AS SELECT SourceId AS source_id, SourceType AS source_type, AwsRegion AS aws_region, LastUpdateStatus AS status,
            to_timestamp(LastUpdateTime) AS last_update_time, LastErrorCode AS error_code, LastErrorMessage AS error_message
        FROM read_json('{files}/sources.json', format = 'array', columns = {{SourceId: 'VARCHAR', SourceType: 'VARCHAR', AwsRegion: 'VARCHAR',
            LastUpdateStatus: 'VARCHAR', LastUpdateTime: 'DOUBLE', LastErrorCode: 'VARCHAR', LastErrorMessage: 'VARCHAR'}})""")
    regions = [region for region, in db.execute("SELECT DISTINCT aws_region FROM sources ORDER BY ALL").fetchall()]
    # Each CLI is a process of its own: one a processor.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda region: ask(
            url, "describe-aggregate-compliance-by-conformance-packs", "AggregateComplianceByConformancePacks[]", files / f"packs-{region}.json",
            "--filters", f"AwsRegion={region}"), regions))
    partition = f"snapshot_date={date}/aggregator=org"
    for table in ("pack_compliance", "source_status"):
        (folder / table / partition).mkdir(parents=True)
    db.execute(f"""
        COPY (
            SELECT AccountId AS account_id, p.AwsRegion AS aws_region, ConformancePackName AS conformance_pack_name,
                regexp_replace(ConformancePackName, '^OrgConformsPack-(.+)-[a-z0-9]{{8}}$', '\\1') AS pack_group,
                pack_group <> conformance_pack_name AS is_organization_pack, Compliance.ComplianceType AS compliance_type,
                Compliance.CompliantRuleCount AS compliant_rule_count, Compliance.NonCompliantRuleCount AS non_compliant_rule_count,
                Compliance.TotalRuleCount - compliant_rule_count - non_compliant_rule_count AS insufficient_data_rule_count,
                Compliance.TotalRuleCount AS total_rule_count,
                if(compliant_rule_count + non_compliant_rule_count > 0,
                    compliant_rule_count / (compliant_rule_count + non_compliant_rule_count), NULL) AS rule_compliance_rate,
                s.status AS source_status, s.last_update_time AS source_updated_at, TIMESTAMPTZ '{collected_at}' AS collected_at,
                '{run_id}' AS run_id
            FROM read_json('{files}/packs-*.json', format = 'array', columns = {{AccountId: 'VARCHAR', AwsRegion: 'VARCHAR',
                ConformancePackName: 'VARCHAR', Compliance: 'STRUCT(ComplianceType VARCHAR, CompliantRuleCount INTEGER,
                NonCompliantRuleCount INTEGER, TotalRuleCount INTEGER)'}}) AS p
            LEFT JOIN sources AS s ON s.source_id = p.AccountId AND s.aws_region = p.AwsRegion
            ORDER BY account_id, p.AwsRegion, conformance_pack_name
        ) TO '{folder}/pack_compliance/{partition}/data.parquet' {PARQUET}""")
    db.execute(f"""
        COPY (SELECT *, TIMESTAMPTZ '{collected_at}' AS collected_at, '{run_id}' AS run_id FROM sources ORDER BY source_id, aws_region)
        TO '{folder}/source_status/{partition}/data.parquet' {PARQUET}""")
    for file in files.iterdir():
        file.unlink()
    files.rmdir()


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])
