-- The trend tables from nothing but the snapshots: a second implementation, written to be read, for every day at once.
-- It is held against what `compline` stores, which gets there a night at a time.
--
-- The text is of packs and of rules alike, and test_trends.py puts in the names of one of them: $item is pack or rule, $items is
-- packs or rules, $key and $group are the columns that name and group them, $trends is the table of totals. A line that ends
-- with `-- packs alone` or `-- rules alone` is left out for the other.
--
-- In:  ${item}_compliance(snapshot_date, aggregator, account_id, aws_region, $key, $group, compliance_type), and of packs
--      compliant_rule_count, non_compliant_rule_count, insufficient_data_rule_count, total_rule_count
-- In:  snapshots(aggregator, snapshot_date), those without a row too
-- Out: tables expected_${item}_status, expected_${item}_changes, expected_$trends

-- Every snapshot, with the one before it.
CREATE TABLE days AS
SELECT aggregator, snapshot_date AS day, lag(snapshot_date) OVER (PARTITION BY aggregator ORDER BY snapshot_date) AS previous
FROM snapshots;

-- A $item on each day that has it, with the time before that it was seen.
CREATE TABLE seen AS
WITH one_by_one AS (
    SELECT facts.*, snapshot_date AS day, previous,
        lag(snapshot_date) OVER one AS seen_before,
        lag(compliance_type) OVER one AS type_before
    FROM ${item}_compliance AS facts JOIN days ON days.aggregator = facts.aggregator AND days.day = facts.snapshot_date
    WINDOW one AS (PARTITION BY facts.aggregator, account_id, aws_region, $key ORDER BY snapshot_date)
),
-- A $item that the snapshot before this day had last seen more than 400 days before is forgotten: it begins a new life.
lives AS (
    SELECT *, count(*) FILTER (seen_before IS NULL OR previous - seen_before > 400) OVER one AS life
    FROM one_by_one
    WINDOW one AS (PARTITION BY aggregator, account_id, aws_region, $key ORDER BY day)
),
-- The first day of a life knows nothing of the one before.
known AS (
    SELECT * REPLACE (if(is_first, NULL, seen_before) AS seen_before, if(is_first, NULL, type_before) AS type_before)
    FROM (SELECT *, row_number() OVER (PARTITION BY aggregator, account_id, aws_region, $key, life ORDER BY day) = 1 AS is_first FROM lives)
),
-- What is new on a day: another type than when it was last seen; the same or not, after a day without it.
events AS (
    SELECT *,
        NOT is_first AND compliance_type IS DISTINCT FROM type_before AS other_type,
        NOT is_first AND seen_before = previous AS was_present
    FROM known
),
numbered AS (
    SELECT *,
        count(*) FILTER (other_type OR NOT was_present) OVER life AS status_number,
        count(*) FILTER (other_type) OVER life AS type_number,
        count(*) FILTER (other_type AND was_present) OVER life AS change_count
    FROM events
    WINDOW life AS (PARTITION BY aggregator, account_id, aws_region, $key, life ORDER BY day)
)
SELECT *,
    min(day) OVER (PARTITION BY aggregator, account_id, aws_region, $key, life) AS first_seen,
    min(day) OVER (PARTITION BY aggregator, account_id, aws_region, $key, life, status_number) AS status_since,
    -- The type before the last other type; none while there was no other.
    if(type_number = 0, NULL,
        first(type_before) OVER (PARTITION BY aggregator, account_id, aws_region, $key, life, type_number ORDER BY day)
    ) AS previous_compliance_type
FROM numbered;

-- Every $item that is not forgotten, as of each day: as it was when it was last seen.
CREATE TABLE expected_${item}_status AS
SELECT days.aggregator, days.day AS snapshot_date, account_id, aws_region, $key, $group, compliance_type,
    previous_compliance_type, status_since, seen.day - status_since AS days_in_status, first_seen AS first_seen_date,
    seen.day AS last_seen_date, seen.day = days.day AS is_present, change_count
FROM days JOIN seen ON seen.aggregator = days.aggregator AND seen.day <= days.day AND days.day - seen.day <= 400
QUALIFY seen.day = max(seen.day) OVER (PARTITION BY days.aggregator, days.day, account_id, aws_region, $key);

-- A day's $items beside what the snapshot before knew.
CREATE TABLE moves AS
WITH before AS (
    SELECT days.day, status.* FROM expected_${item}_status AS status
    JOIN days ON days.aggregator = status.aggregator AND days.previous = status.snapshot_date
)
SELECT days.aggregator, days.day, days.previous,
    coalesce(now.account_id, before.account_id) AS account_id, coalesce(now.aws_region, before.aws_region) AS aws_region,
    coalesce(now.$key, before.$key) AS $key,
    coalesce(now.$group, before.$group) AS $group,
    now.account_id IS NOT NULL AS here,
    before.compliance_type AS from_type, now.compliance_type AS to_type,
    before.status_since AS since_before, before.days_in_status AS days_before,
    now.day - now.status_since AS days_in_status,
    now.compliant_rule_count, now.non_compliant_rule_count, now.insufficient_data_rule_count, now.total_rule_count, -- packs alone
    CASE
        WHEN days.previous IS NULL THEN NULL
        WHEN before.account_id IS NULL THEN 'added'
        WHEN now.account_id IS NOT NULL AND NOT before.is_present THEN 'reappeared'
        WHEN now.account_id IS NULL AND before.is_present THEN 'removed'
        WHEN now.account_id IS NULL OR before.compliance_type IS NOT DISTINCT FROM now.compliance_type THEN NULL
        WHEN before.compliance_type = 'COMPLIANT' AND now.compliance_type = 'NON_COMPLIANT' THEN 'regressed'
        WHEN before.compliance_type = 'NON_COMPLIANT' AND now.compliance_type = 'COMPLIANT' THEN 'remediated'
        ELSE 'changed'
    END AS change
FROM seen AS now
FULL JOIN before ON (now.aggregator, now.day, now.account_id, now.aws_region, now.$key)
    = (before.aggregator, before.day, before.account_id, before.aws_region, before.$key)
JOIN days ON days.aggregator = coalesce(now.aggregator, before.aggregator) AND days.day = coalesce(now.day, before.day);

CREATE TABLE expected_${item}_changes AS
SELECT aggregator, day AS snapshot_date, account_id, aws_region, $key, $group, change, from_type, to_type,
    if(change = 'reappeared', days_before, day - since_before) AS days_in_previous_status,
    previous AS previous_snapshot_date
FROM moves WHERE change IS NOT NULL;

CREATE TABLE totals AS
WITH counted AS (SELECT * FROM moves WHERE here OR change IS NOT NULL),
by_dimension AS (
    SELECT 'aggregator' AS dimension, aggregator AS dimension_value, * FROM counted
    UNION ALL SELECT 'account', account_id, * FROM counted
    UNION ALL SELECT 'region', aws_region, * FROM counted
    UNION ALL SELECT '$group', $group, * FROM counted
    -- The aggregator has a row on every day, on one with neither a $item nor an event too: this one counts for nothing.
    UNION ALL BY NAME SELECT 'aggregator' AS dimension, aggregator AS dimension_value, aggregator, day, previous, false AS here FROM days
),
sums AS (
    SELECT aggregator, day, dimension, dimension_value, previous AS previous_snapshot_date,
        count(*) FILTER (here) AS ${items}_total,
        count(*) FILTER (here AND to_type = 'COMPLIANT') AS ${items}_compliant,
        count(*) FILTER (here AND to_type = 'NON_COMPLIANT') AS ${items}_non_compliant,
        count(*) FILTER (here AND to_type = 'NOT_APPLICABLE') AS ${items}_not_applicable, -- rules alone
        count(*) FILTER (here AND to_type = 'INSUFFICIENT_DATA') AS ${items}_insufficient_data,
        coalesce(sum(compliant_rule_count), 0) AS rules_compliant, -- packs alone
        coalesce(sum(non_compliant_rule_count), 0) AS rules_non_compliant, -- packs alone
        coalesce(sum(insufficient_data_rule_count), 0) AS rules_insufficient_data, -- packs alone
        coalesce(sum(total_rule_count), 0) AS rules_total, -- packs alone
        count(*) FILTER (change = 'added') AS added,
        count(*) FILTER (change = 'removed') AS removed,
        count(*) FILTER (change = 'reappeared') AS reappeared,
        count(*) FILTER (change = 'regressed') AS regressed,
        count(*) FILTER (change = 'remediated') AS remediated,
        coalesce(sum(day - since_before) FILTER (change = 'remediated'), 0) AS days_to_remediate,
        median(days_in_status) FILTER (here AND to_type = 'NON_COMPLIANT') AS open_non_compliant_median_days,
        max(days_in_status) FILTER (here AND to_type = 'NON_COMPLIANT') AS open_non_compliant_max_days
    FROM by_dimension GROUP BY ALL
)
SELECT *,
    ${items}_total - ${items}_compliant - ${items}_non_compliant - ${items}_insufficient_data
        - ${items}_not_applicable -- rules alone
        AS ${items}_unknown,
    if(${items}_compliant + ${items}_non_compliant > 0, ${items}_compliant / (${items}_compliant + ${items}_non_compliant), NULL) AS ${item}_compliance_rate,
    if(rules_compliant >= 0 AND rules_non_compliant >= 0 AND rules_compliant + rules_non_compliant > 0, -- packs alone
        rules_compliant / (rules_compliant + rules_non_compliant), NULL) AS rule_compliance_rate, -- packs alone
    -- Without a snapshot before there is nothing to count events against.
    if(previous_snapshot_date IS NULL, NULL, added) AS ${items}_added,
    if(previous_snapshot_date IS NULL, NULL, removed) AS ${items}_removed,
    if(previous_snapshot_date IS NULL, NULL, reappeared) AS ${items}_reappeared,
    if(previous_snapshot_date IS NULL, NULL, regressed) AS ${items}_regressed,
    if(previous_snapshot_date IS NULL, NULL, remediated) AS ${items}_remediated,
    if(previous_snapshot_date IS NULL, NULL, days_to_remediate) AS remediation_days,
    ${items}_non_compliant AS open_non_compliant_${items}
FROM sums;

-- What each window of calendar days that ends on the day says of a value.
CREATE TABLE windows AS
SELECT today.aggregator, today.day, today.dimension, today.dimension_value, n,
    avg(before.${item}_compliance_rate) AS ${item}_mean,
    avg(before.rule_compliance_rate) AS rule_mean, -- packs alone
    count(*) FILTER (before.${items}_total > 0) AS days_observed,
    sum(before.remediated) FILTER (before.previous_snapshot_date IS NOT NULL) AS remediations,
    sum(before.days_to_remediate) FILTER (before.previous_snapshot_date IS NOT NULL) AS days_to_remediate
FROM totals AS today CROSS JOIN (VALUES (7), (30), (90)) AS n(n)
JOIN totals AS before ON (before.aggregator, before.dimension, before.dimension_value) = (today.aggregator, today.dimension, today.dimension_value)
    AND before.day <= today.day AND before.day > today.day - n
GROUP BY ALL;

-- The last snapshot n to 2n - 1 days ago, and how a value was then.
CREATE TABLE baselines AS
WITH dates AS (
    SELECT today.aggregator, today.day, n, max(before.day) AS then
    FROM days AS today CROSS JOIN (VALUES (7), (30), (90)) AS n(n)
    JOIN days AS before ON before.aggregator = today.aggregator
        AND before.day <= today.day - n AND before.day > today.day - 2 * n
    GROUP BY ALL
)
SELECT dates.aggregator, dates.day, n, dimension, dimension_value,
    rule_compliance_rate, -- packs alone
    ${item}_compliance_rate
FROM dates JOIN totals ON totals.aggregator = dates.aggregator AND totals.day = dates.then;

CREATE TABLE expected_$trends AS
SELECT t.aggregator, t.day AS snapshot_date, t.dimension, t.dimension_value,
    ${items}_total, ${items}_compliant, ${items}_non_compliant, ${items}_insufficient_data, ${items}_unknown,
    ${items}_not_applicable, -- rules alone
    rules_compliant, rules_non_compliant, rules_insufficient_data, rules_total, -- packs alone
    t.${item}_compliance_rate, previous_snapshot_date,
    t.rule_compliance_rate, -- packs alone
    ${items}_added, ${items}_removed, ${items}_reappeared, ${items}_regressed, ${items}_remediated, remediation_days,
    t.${item}_compliance_rate - b7.${item}_compliance_rate AS ${item}_compliance_rate_change_7d,
    t.rule_compliance_rate - b7.rule_compliance_rate AS rule_compliance_rate_change_7d, -- packs alone
    w7.${item}_mean AS ${item}_compliance_rate_mean_7d, w7.days_observed AS days_observed_7d,
    w7.rule_mean AS rule_compliance_rate_mean_7d, -- packs alone
    t.${item}_compliance_rate - b30.${item}_compliance_rate AS ${item}_compliance_rate_change_30d,
    t.rule_compliance_rate - b30.rule_compliance_rate AS rule_compliance_rate_change_30d, -- packs alone
    w30.${item}_mean AS ${item}_compliance_rate_mean_30d, w30.days_observed AS days_observed_30d,
    w30.rule_mean AS rule_compliance_rate_mean_30d, -- packs alone
    t.${item}_compliance_rate - b90.${item}_compliance_rate AS ${item}_compliance_rate_change_90d,
    t.rule_compliance_rate - b90.rule_compliance_rate AS rule_compliance_rate_change_90d, -- packs alone
    w90.${item}_mean AS ${item}_compliance_rate_mean_90d, w90.days_observed AS days_observed_90d,
    w90.rule_mean AS rule_compliance_rate_mean_90d, -- packs alone
    coalesce(w30.remediations, 0) AS remediations_30d,
    if(w30.remediations > 0, w30.days_to_remediate / w30.remediations, NULL) AS mean_days_to_remediate_30d,
    coalesce(w90.remediations, 0) AS remediations_90d,
    if(w90.remediations > 0, w90.days_to_remediate / w90.remediations, NULL) AS mean_days_to_remediate_90d,
    open_non_compliant_${items}, open_non_compliant_median_days, open_non_compliant_max_days,
    -- The filters of the lakes that are held against this never change.
    (SELECT min(day) FROM days WHERE days.aggregator = t.aggregator) AS population_since
FROM totals AS t
JOIN windows AS w7 ON (w7.aggregator, w7.day, w7.dimension, w7.dimension_value, w7.n) = (t.aggregator, t.day, t.dimension, t.dimension_value, 7)
JOIN windows AS w30 ON (w30.aggregator, w30.day, w30.dimension, w30.dimension_value, w30.n) = (t.aggregator, t.day, t.dimension, t.dimension_value, 30)
JOIN windows AS w90 ON (w90.aggregator, w90.day, w90.dimension, w90.dimension_value, w90.n) = (t.aggregator, t.day, t.dimension, t.dimension_value, 90)
LEFT JOIN baselines AS b7 ON (b7.aggregator, b7.day, b7.dimension, b7.dimension_value, b7.n) = (t.aggregator, t.day, t.dimension, t.dimension_value, 7)
LEFT JOIN baselines AS b30 ON (b30.aggregator, b30.day, b30.dimension, b30.dimension_value, b30.n) = (t.aggregator, t.day, t.dimension, t.dimension_value, 30)
LEFT JOIN baselines AS b90 ON (b90.aggregator, b90.day, b90.dimension, b90.dimension_value, b90.n) = (t.aggregator, t.day, t.dimension, t.dimension_value, 90);
