-- Panels for Grafana's Athena data source: a query each, to be pasted into a panel's editor. Time series (format: Time series) have the days
-- of the dashboard's range alone, so that Athena reads no others. Replace compline by your database.

-- rate: pack rate of each aggregator, as a time series
SELECT CAST(snapshot_date AS TIMESTAMP) AS time, aggregator, 100 * pack_compliance_rate AS pack_rate_percent
FROM compline.compliance_trends
WHERE $__dateFilter(snapshot_date) AND dimension = 'aggregator' AND pack_compliance_rate IS NOT NULL
ORDER BY time;

-- changes: packs regressed and remediated a day, of all aggregators, as bars
SELECT CAST(snapshot_date AS TIMESTAMP) AS time, change, count(*) AS packs
FROM compline.pack_changes
WHERE $__dateFilter(snapshot_date) AND change IN ('regressed', 'remediated')
GROUP BY snapshot_date, change
ORDER BY time;

-- groups: pack groups of each aggregator's last day in the range, as a table
SELECT aggregator, snapshot_date, dimension_value AS pack_group, packs_total, packs_non_compliant, 100 * pack_compliance_rate AS pack_rate_percent
FROM compline.compliance_trends
JOIN (SELECT aggregator, max(snapshot_date) AS snapshot_date FROM compline.compliance_trends
      WHERE $__dateFilter(snapshot_date) GROUP BY aggregator) USING (aggregator, snapshot_date)
WHERE dimension = 'pack_group' AND $__dateFilter(snapshot_date)
ORDER BY pack_compliance_rate, pack_group;

-- stale: sources that the aggregator could not ask lately, a day
SELECT CAST(snapshot_date AS TIMESTAMP) AS time, aggregator, count(*) AS stale_sources
FROM compline.source_status
WHERE $__dateFilter(snapshot_date) AND status <> 'SUCCEEDED'
GROUP BY snapshot_date, aggregator
ORDER BY time;
