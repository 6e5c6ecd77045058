-- Views over Compline's tables, for Athena. `compline athena FILE` prints them for a pipeline's own database, and
-- `compline catalog FILE` makes them in the Glue catalog. Those of the last snapshot look back 31 days, so that they read no
-- more of a history of years: an aggregator whose last snapshot is older is in `coverage` alone.

-- The last snapshot of each aggregator, if it is of the last 31 days: the views of the last snapshot stand on it.
CREATE OR REPLACE VIEW compline.latest_snapshot AS
SELECT aggregator, max(snapshot_date) AS snapshot_date
FROM compline.compliance_trends
WHERE snapshot_date >= current_date - INTERVAL '31' DAY
GROUP BY aggregator;

-- How every aggregator, account, region and pack group stands in the last snapshot, and how that moved.
CREATE OR REPLACE VIEW compline.latest_posture AS
SELECT
    trends.dimension,
    trends.dimension_value,
    trends.packs_total,
    trends.packs_compliant,
    trends.packs_non_compliant,
    trends.packs_insufficient_data,
    trends.packs_unknown,
    trends.rules_compliant,
    trends.rules_non_compliant,
    trends.rules_insufficient_data,
    trends.rules_total,
    trends.pack_compliance_rate,
    trends.rule_compliance_rate,
    trends.previous_snapshot_date,
    trends.packs_added,
    trends.packs_removed,
    trends.packs_reappeared,
    trends.packs_regressed,
    trends.packs_remediated,
    trends.remediation_days,
    trends.pack_compliance_rate_change_7d,
    trends.rule_compliance_rate_change_7d,
    trends.pack_compliance_rate_mean_7d,
    trends.rule_compliance_rate_mean_7d,
    trends.days_observed_7d,
    trends.pack_compliance_rate_change_30d,
    trends.rule_compliance_rate_change_30d,
    trends.pack_compliance_rate_mean_30d,
    trends.rule_compliance_rate_mean_30d,
    trends.days_observed_30d,
    trends.pack_compliance_rate_change_90d,
    trends.rule_compliance_rate_change_90d,
    trends.pack_compliance_rate_mean_90d,
    trends.rule_compliance_rate_mean_90d,
    trends.days_observed_90d,
    trends.remediations_30d,
    trends.mean_days_to_remediate_30d,
    trends.remediations_90d,
    trends.mean_days_to_remediate_90d,
    trends.open_non_compliant_packs,
    trends.open_non_compliant_median_days,
    trends.open_non_compliant_max_days,
    trends.population_since,
    trends.snapshot_date,
    trends.aggregator
FROM compline.compliance_trends AS trends
JOIN compline.latest_snapshot AS latest
    ON latest.aggregator = trends.aggregator AND latest.snapshot_date = trends.snapshot_date
WHERE trends.snapshot_date >= current_date - INTERVAL '31' DAY;

-- The accounts of the last snapshot, the worst first: by their pack rate, then by their non-compliant packs. Accounts
-- without a rate come last.
CREATE OR REPLACE VIEW compline.accounts_worst_first AS
SELECT
    aggregator,
    rank() OVER (
        PARTITION BY aggregator
        ORDER BY CASE WHEN pack_compliance_rate IS NULL THEN 1 ELSE 0 END, pack_compliance_rate, packs_non_compliant DESC
    ) AS place,
    dimension_value AS account_id,
    pack_compliance_rate,
    pack_compliance_rate_change_30d,
    packs_non_compliant,
    packs_total,
    open_non_compliant_max_days,
    snapshot_date
FROM compline.latest_posture
WHERE dimension = 'account' AND packs_total > 0;

-- A value week by week, from Monday: how it stood in the week's last snapshot, its mean over the week's snapshots, how many
-- there were, and what happened. A week without a snapshot has no row.
CREATE OR REPLACE VIEW compline.trend_weekly AS
SELECT
    aggregator,
    dimension,
    dimension_value,
    date_trunc('week', snapshot_date) AS week,
    count_if(packs_total > 0) AS days_observed,
    max(snapshot_date) AS last_snapshot_date,
    max_by(packs_total, snapshot_date) AS packs_total,
    max_by(packs_non_compliant, snapshot_date) AS packs_non_compliant,
    max_by(pack_compliance_rate, snapshot_date) AS pack_compliance_rate,
    avg(pack_compliance_rate) AS pack_compliance_rate_mean,
    avg(rule_compliance_rate) AS rule_compliance_rate_mean,
    sum(packs_added) AS packs_added,
    sum(packs_removed) AS packs_removed,
    sum(packs_regressed) AS packs_regressed,
    sum(packs_remediated) AS packs_remediated
FROM compline.compliance_trends
GROUP BY aggregator, dimension, dimension_value, date_trunc('week', snapshot_date);

-- The same month by month.
CREATE OR REPLACE VIEW compline.trend_monthly AS
SELECT
    aggregator,
    dimension,
    dimension_value,
    date_trunc('month', snapshot_date) AS month,
    count_if(packs_total > 0) AS days_observed,
    max(snapshot_date) AS last_snapshot_date,
    max_by(packs_total, snapshot_date) AS packs_total,
    max_by(packs_non_compliant, snapshot_date) AS packs_non_compliant,
    max_by(pack_compliance_rate, snapshot_date) AS pack_compliance_rate,
    avg(pack_compliance_rate) AS pack_compliance_rate_mean,
    avg(rule_compliance_rate) AS rule_compliance_rate_mean,
    sum(packs_added) AS packs_added,
    sum(packs_removed) AS packs_removed,
    sum(packs_regressed) AS packs_regressed,
    sum(packs_remediated) AS packs_remediated
FROM compline.compliance_trends
GROUP BY aggregator, dimension, dimension_value, date_trunc('month', snapshot_date);

-- Packs that were COMPLIANT, are NON_COMPLIANT in the last snapshot, and for how many days.
CREATE OR REPLACE VIEW compline.open_regressions AS
SELECT
    status.aggregator,
    status.account_id,
    status.aws_region,
    status.conformance_pack_name,
    status.pack_group,
    status.status_since AS regressed_on,
    status.days_in_status AS days_open,
    status.change_count,
    status.snapshot_date
FROM compline.pack_status AS status
JOIN compline.latest_snapshot AS latest
    ON latest.aggregator = status.aggregator AND latest.snapshot_date = status.snapshot_date
WHERE
    status.snapshot_date >= current_date - INTERVAL '31' DAY
    AND status.is_present AND status.compliance_type = 'NON_COMPLIANT'
    AND status.previous_compliance_type = 'COMPLIANT';

-- Packs that the last snapshot does not have any more, for 400 days.
CREATE OR REPLACE VIEW compline.packs_vanished AS
SELECT
    status.aggregator,
    status.account_id,
    status.aws_region,
    status.conformance_pack_name,
    status.pack_group,
    status.compliance_type AS last_compliance_type,
    status.first_seen_date,
    status.last_seen_date,
    date_diff('day', status.last_seen_date, status.snapshot_date) AS days_gone,
    status.snapshot_date
FROM compline.pack_status AS status
JOIN compline.latest_snapshot AS latest
    ON latest.aggregator = status.aggregator AND latest.snapshot_date = status.snapshot_date
WHERE status.snapshot_date >= current_date - INTERVAL '31' DAY AND NOT status.is_present;

-- Every calendar day from an aggregator's first snapshot to today (UTC): whether there is a snapshot, how many packs it has,
-- and how its sources were. A day without one is a day that nobody ran, or failed, or is held, unless is_dropped says that its
-- snapshot was dropped by `compline maintain`.
CREATE OR REPLACE VIEW compline.coverage AS
WITH changes AS (
    SELECT
        aggregator,
        snapshot_date,
        outcome = 'dropped' AS is_dropped,
        "rows" AS packs_total,
        row_number() OVER (
            PARTITION BY aggregator, snapshot_date
            ORDER BY commit_number DESC NULLS LAST, finished_at DESC
        ) AS age
    FROM compline.runs
    -- A failed run may have committed: its trends failed.
    WHERE outcome IN ('succeeded', 'dropped') OR (outcome = 'failed' AND snapshot_sha256 IS NOT NULL)
),
last_changes AS (
    SELECT aggregator, snapshot_date, is_dropped, CASE WHEN NOT is_dropped THEN packs_total END AS packs_total
    FROM changes
    WHERE age = 1
),
span AS (
    SELECT
        aggregator,
        min(snapshot_date) AS first_day,
        greatest(max(snapshot_date), CAST(current_timestamp AT TIME ZONE 'UTC' AS date)) AS last_day
    FROM last_changes
    GROUP BY aggregator
),
calendar AS (
    SELECT span.aggregator, CAST(t.day AS date) AS day
    FROM span
    CROSS JOIN UNNEST(sequence(span.first_day, span.last_day, INTERVAL '1' DAY)) AS t (day)
),
sources AS (
    SELECT
        aggregator,
        snapshot_date,
        count(*) AS sources,
        count_if(status = 'SUCCEEDED') AS sources_succeeded,
        count_if(status = 'OUTDATED') AS sources_outdated,
        count_if(status = 'FAILED') AS sources_failed
    FROM compline.source_status
    GROUP BY aggregator, snapshot_date
)
SELECT
    calendar.aggregator,
    calendar.day,
    coalesce(NOT last_changes.is_dropped, false) AS has_snapshot,
    last_changes.packs_total,
    sources.sources,
    sources.sources_succeeded,
    sources.sources_outdated,
    sources.sources_failed,
    coalesce(last_changes.is_dropped, false) AS is_dropped
FROM calendar
LEFT JOIN last_changes ON last_changes.aggregator = calendar.aggregator AND last_changes.snapshot_date = calendar.day
LEFT JOIN sources ON sources.aggregator = calendar.aggregator AND sources.snapshot_date = calendar.day;

-- How long packs had been NON_COMPLIANT that were remediated in a month. Those that still are open are not in it.
CREATE OR REPLACE VIEW compline.time_to_remediate_monthly AS
SELECT
    aggregator,
    date_trunc('month', snapshot_date) AS month,
    count(*) AS remediations,
    avg(days_in_previous_status) AS mean_days_to_remediate,
    min(days_in_previous_status) AS min_days_to_remediate,
    max(days_in_previous_status) AS max_days_to_remediate
FROM compline.pack_changes
WHERE change = 'remediated'
GROUP BY aggregator, date_trunc('month', snapshot_date);
