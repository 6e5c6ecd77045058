-- The first five minutes with a lake: DuckDB. On S3 first: INSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);
SET VARIABLE lake = 'lake';
SET VARIABLE aggregator = 'org';
SET VARIABLE until = (SELECT (now() AT TIME ZONE 'UTC')::DATE);

CREATE OR REPLACE TEMP MACRO lake_table(name) AS TABLE
    SELECT * FROM read_parquet(getvariable('lake') || '/' || name || '/*/*/*.parquet', hive_partitioning = true,
                               hive_types = {'snapshot_date': DATE, 'aggregator': VARCHAR})
    -- Of 60 days, so that few files are looked at, however old the lake is.
    WHERE aggregator = getvariable('aggregator') AND snapshot_date BETWEEN CAST(getvariable('until') AS DATE) - 60 AND CAST(getvariable('until') AS DATE);
-- Not max(): of a lake of one file DuckDB 1.5 asks its statistics for a column that is in its path alone, and fails.
SET VARIABLE last = (SELECT snapshot_date FROM lake_table('compliance_trends') ORDER BY snapshot_date DESC LIMIT 1);
SELECT error(getvariable('aggregator') || ' has no trends in the 60 days: see compline status') WHERE getvariable('last') IS NULL;

-- now: how compliant, and against seven days ago; last_snapshot is later where trends wait
SELECT snapshot_date, greatest((SELECT snapshot_date FROM lake_table('pack_compliance') ORDER BY snapshot_date DESC LIMIT 1), snapshot_date) AS last_snapshot, packs_total, pack_compliance_rate, pack_compliance_rate_change_7d
FROM lake_table('compliance_trends')
WHERE snapshot_date = getvariable('last') AND dimension = 'aggregator';

-- by day: a day without a snapshot has no rate
SELECT day, pack_compliance_rate
FROM (SELECT unnest(generate_series(getvariable('last') - 29, getvariable('last'), INTERVAL 1 DAY))::DATE AS day)
LEFT JOIN (SELECT snapshot_date, pack_compliance_rate FROM lake_table('compliance_trends')
           WHERE dimension = 'aggregator' AND snapshot_date >= getvariable('last') - 29) ON day = snapshot_date
ORDER BY day;

-- changes: what happened on the last day
SELECT change, count(*) AS packs
FROM lake_table('pack_changes') WHERE snapshot_date = getvariable('last')
GROUP BY change ORDER BY change;

-- worst: accounts by their rate
SELECT dimension_value AS account_id, pack_compliance_rate, packs_non_compliant
FROM lake_table('compliance_trends')
WHERE snapshot_date = getvariable('last') AND dimension = 'account' AND pack_compliance_rate IS NOT NULL
ORDER BY pack_compliance_rate, packs_non_compliant DESC, account_id LIMIT 10;

-- sources: what the aggregator could not ask lately is not SUCCEEDED
SELECT status, count(*) AS sources
FROM lake_table('source_status') WHERE snapshot_date = getvariable('last')
GROUP BY status ORDER BY status;
