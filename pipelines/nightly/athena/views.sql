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

-- Every calendar day from an aggregator's first snapshot of packs to today (UTC): whether there is one, how many packs it has,
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
    -- Rules have rows and commit numbers of their own. A row of a version that collected packs alone has no dataset.
    WHERE coalesce(dataset, 'packs') = 'packs'
        -- A failed run may have committed: its trends failed.
        AND (outcome IN ('succeeded', 'dropped') OR (outcome = 'failed' AND snapshot_sha256 IS NOT NULL))
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

-- The last snapshot of the Config rules of each aggregator, if it is of the last 31 days. Rules are committed after packs, so
-- that it may be older than that of packs.
CREATE OR REPLACE VIEW compline.latest_rule_snapshot AS
SELECT aggregator, max(snapshot_date) AS snapshot_date
FROM compline.rule_trends
WHERE snapshot_date >= current_date - INTERVAL '31' DAY
GROUP BY aggregator;

-- The Config rules of the last snapshot over all accounts and regions, by rule group, the worst first: by their rate, then by
-- how often they are non-compliant. Rules without a rate come last.
CREATE OR REPLACE VIEW compline.rules_worst_first AS
SELECT
    trends.aggregator,
    rank() OVER (
        PARTITION BY trends.aggregator
        ORDER BY
            CASE WHEN trends.rule_compliance_rate IS NULL THEN 1 ELSE 0 END,
            trends.rule_compliance_rate,
            trends.rules_non_compliant DESC
    ) AS place,
    trends.dimension_value AS rule_group,
    trends.rule_compliance_rate,
    trends.rule_compliance_rate_change_30d,
    trends.rules_non_compliant,
    trends.rules_total,
    trends.open_non_compliant_max_days,
    trends.snapshot_date
FROM compline.rule_trends AS trends
JOIN compline.latest_rule_snapshot AS latest
    ON latest.aggregator = trends.aggregator AND latest.snapshot_date = trends.snapshot_date
WHERE
    trends.snapshot_date >= current_date - INTERVAL '31' DAY
    AND trends.dimension = 'rule_group' AND trends.rules_total > 0;

-- Config rules that are NON_COMPLIANT in the last snapshot, since which snapshot, and for how many days.
CREATE OR REPLACE VIEW compline.rules_failing_longest AS
SELECT
    status.aggregator,
    status.account_id,
    status.aws_region,
    status.config_rule_name,
    status.rule_group,
    status.status_since AS non_compliant_since,
    status.days_in_status AS days_non_compliant,
    status.change_count,
    status.snapshot_date
FROM compline.rule_status AS status
JOIN compline.latest_rule_snapshot AS latest
    ON latest.aggregator = status.aggregator AND latest.snapshot_date = status.snapshot_date
WHERE
    status.snapshot_date >= current_date - INTERVAL '31' DAY
    AND status.is_present AND status.compliance_type = 'NON_COMPLIANT';

-- Why packs regressed, on every day: of each pack its Config rules that turned NON_COMPLIANT with it, a row each. AWS Config does
-- not say which pack a rule is of, but a rule's name ends with an id of its pack. Where the packs and the ids of an account and
-- region have the same counts of compliant and noncompliant rules, a pack has the id with its counts, if no other pack has them and
-- all its NON_COMPLIANT rules turned that day. Otherwise it could not be told, as where packs or rules are filtered, were not
-- collected, or are compared with another snapshot, and where `compline maintain` dropped the day's snapshot: one row without a
-- rule. Ask for days: without a bound on snapshot_date it reads every snapshot.
CREATE OR REPLACE VIEW compline.why_regressed AS
WITH packs AS (
    SELECT
        facts.snapshot_date,
        facts.aggregator,
        facts.account_id,
        facts.aws_region,
        facts.conformance_pack_name,
        facts.compliant_rule_count,
        facts.non_compliant_rule_count,
        count(*) OVER (
            PARTITION BY
                facts.snapshot_date, facts.aggregator, facts.account_id, facts.aws_region,
                facts.compliant_rule_count, facts.non_compliant_rule_count
        ) AS packs_with_counts
    FROM compline.pack_compliance AS facts
),
ids AS (
    SELECT
        facts.snapshot_date,
        facts.aggregator,
        facts.account_id,
        facts.aws_region,
        facts.conformance_pack_id,
        count_if(facts.compliance_type = 'COMPLIANT') AS rules_compliant,
        count_if(facts.compliance_type = 'NON_COMPLIANT') AS rules_non_compliant,
        count(changes.config_rule_name) AS rules_turned,
        max(changes.previous_snapshot_date) AS previous_snapshot_date
    FROM compline.rule_compliance AS facts
    LEFT JOIN compline.rule_changes AS changes
        ON changes.snapshot_date = facts.snapshot_date AND changes.aggregator = facts.aggregator
        AND changes.account_id = facts.account_id AND changes.aws_region = facts.aws_region
        AND changes.config_rule_name = facts.config_rule_name AND changes.to_type = 'NON_COMPLIANT'
    -- The counts of a pack are of no other types, and an id without any is none that a pack has.
    WHERE facts.conformance_pack_id IS NOT NULL AND facts.compliance_type IN ('COMPLIANT', 'NON_COMPLIANT')
    GROUP BY facts.snapshot_date, facts.aggregator, facts.account_id, facts.aws_region, facts.conformance_pack_id
),
counts_of_packs AS (
    SELECT
        snapshot_date,
        aggregator,
        account_id,
        aws_region,
        -- One without a result has no rule in the list.
        array_agg(
            concat(CAST(compliant_rule_count AS varchar), '/', CAST(non_compliant_rule_count AS varchar))
            ORDER BY compliant_rule_count, non_compliant_rule_count
        ) FILTER (WHERE compliant_rule_count <> 0 OR non_compliant_rule_count <> 0) AS counts,
        count_if(compliant_rule_count IS NULL OR non_compliant_rule_count IS NULL) AS without_counts
    FROM packs
    GROUP BY snapshot_date, aggregator, account_id, aws_region
),
counts_of_ids AS (
    SELECT
        snapshot_date,
        aggregator,
        account_id,
        aws_region,
        array_agg(
            concat(CAST(rules_compliant AS varchar), '/', CAST(rules_non_compliant AS varchar))
            ORDER BY rules_compliant, rules_non_compliant
        ) AS counts
    FROM ids
    GROUP BY snapshot_date, aggregator, account_id, aws_region
),
regressed AS (
    SELECT
        changes.snapshot_date,
        changes.aggregator,
        changes.account_id,
        changes.aws_region,
        changes.conformance_pack_name,
        changes.pack_group,
        changes.previous_snapshot_date,
        ids.conformance_pack_id
    FROM compline.pack_changes AS changes
    LEFT JOIN packs
        ON packs.snapshot_date = changes.snapshot_date AND packs.aggregator = changes.aggregator
        AND packs.account_id = changes.account_id AND packs.aws_region = changes.aws_region
        AND packs.conformance_pack_name = changes.conformance_pack_name
    LEFT JOIN counts_of_packs
        ON counts_of_packs.snapshot_date = changes.snapshot_date AND counts_of_packs.aggregator = changes.aggregator
        AND counts_of_packs.account_id = changes.account_id AND counts_of_packs.aws_region = changes.aws_region
        AND counts_of_packs.without_counts = 0
    LEFT JOIN counts_of_ids
        ON counts_of_ids.snapshot_date = changes.snapshot_date AND counts_of_ids.aggregator = changes.aggregator
        AND counts_of_ids.account_id = changes.account_id AND counts_of_ids.aws_region = changes.aws_region
    -- As many ids as packs have its counts where those of all are the same.
    LEFT JOIN ids
        ON ids.snapshot_date = changes.snapshot_date AND ids.aggregator = changes.aggregator
        AND ids.account_id = changes.account_id AND ids.aws_region = changes.aws_region
        AND ids.rules_compliant = packs.compliant_rule_count
        AND ids.rules_non_compliant = packs.non_compliant_rule_count
        AND packs.packs_with_counts = 1
        AND counts_of_packs.counts = counts_of_ids.counts
        -- Rules that are compared with another snapshot do not say what turned since.
        AND ids.rules_non_compliant
            = CASE WHEN ids.previous_snapshot_date = changes.previous_snapshot_date THEN ids.rules_turned ELSE 0 END
    WHERE changes.change = 'regressed'
),
rules AS (
    SELECT
        changes.snapshot_date,
        changes.aggregator,
        changes.account_id,
        changes.aws_region,
        changes.config_rule_name,
        changes.rule_group,
        changes.change,
        changes.from_type,
        facts.conformance_pack_id,
        facts.contributor_count,
        facts.contributor_count_capped
    -- The smaller table second: engines without statistics hold that one in memory.
    FROM compline.rule_compliance AS facts
    JOIN compline.rule_changes AS changes
        ON changes.snapshot_date = facts.snapshot_date AND changes.aggregator = facts.aggregator
        AND changes.account_id = facts.account_id AND changes.aws_region = facts.aws_region
        AND changes.config_rule_name = facts.config_rule_name
    WHERE changes.to_type = 'NON_COMPLIANT' AND facts.conformance_pack_id IS NOT NULL
)
SELECT
    regressed.aggregator,
    regressed.account_id,
    regressed.aws_region,
    regressed.conformance_pack_name,
    regressed.pack_group,
    regressed.conformance_pack_id IS NOT NULL AS is_told,
    regressed.conformance_pack_id,
    rules.config_rule_name,
    rules.rule_group,
    rules.change AS rule_change,
    rules.from_type,
    rules.contributor_count,
    rules.contributor_count_capped,
    regressed.previous_snapshot_date,
    regressed.snapshot_date
FROM regressed
LEFT JOIN rules
    ON rules.snapshot_date = regressed.snapshot_date AND rules.aggregator = regressed.aggregator
    AND rules.account_id = regressed.account_id AND rules.aws_region = regressed.aws_region
    AND rules.conformance_pack_id = regressed.conformance_pack_id;
