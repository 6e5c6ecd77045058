-- The trend tables again, from the snapshots, in tables beside the lake's: the statements of one month of one aggregator.
--
-- Order. Statement 1 once, 2 once: it lists days whose snapshot is not there as it was committed, and has to list none. Then, aggregator by
-- aggregator and month by month in order, 3 to 5. A month is no more than 31 partitions of the 100 that a statement may write on Athena.
-- To begin again, drop the four tables {target}.*_recomputed, with their objects.
--
-- {database}     the lake's database, as in `compline athena`
-- {target}       the database of what is made: {database}, or another
-- {aggregator}   id of the aggregator
-- {first}        first day of the month, YYYY-MM-DD, and of the range in its first month
-- {last}         last day of the month, YYYY-MM-DD, and of the range in its last month
-- {start}        first day of the whole range: of days before it the lake's own trend tables are taken, of later ones only what was made
-- {in range}     of each aggregator (aggregator = 'ID' AND snapshot_date BETWEEN DATE 'FIRST DAY' AND DATE 'LAST DAY'), with OR between
-- {snapshots}    {database}.pack_compliance, or where snapshots were dropped: the same columns of it UNION ALL those of
--                {database}.pack_compliance_monthly, of the days that {target}.days_recomputed has with is_dropped and it has not
-- {into NAME}    in the first month of the first aggregator
--                CREATE TABLE {target}.NAME_recomputed WITH (format = 'PARQUET', partitioned_by = ARRAY['snapshot_date', 'aggregator']) AS
--                and after it INSERT INTO {target}.NAME_recomputed
-- {known NAME}   in the first month of the first aggregator {database}.NAME, and after it
--                (SELECT * FROM {database}.NAME WHERE snapshot_date < DATE '{start}' UNION ALL SELECT * FROM {target}.NAME_recomputed)

-- 1. Every day that was committed, by the ledger, with the snapshot that it is compared with. A day's last commit says of which population
-- it is. Where that changes, and after a day that is facts only, trends begin anew.
CREATE TABLE {target}.days_recomputed WITH (format = 'PARQUET') AS
WITH changes AS (
    SELECT *, outcome = 'succeeded' OR (outcome = 'failed' AND (commit_number IS NOT NULL OR snapshot_sha256 IS NOT NULL OR "rows" > 0)) AS is_commit
    -- Those of rules are of another history.
    FROM {database}.runs WHERE coalesce(dataset, 'packs') = 'packs'
),
numbered AS (
    SELECT *,
        row_number() OVER (PARTITION BY aggregator, snapshot_date, is_commit ORDER BY commit_number DESC NULLS LAST, finished_at DESC) AS n,
        first_value(outcome) OVER (PARTITION BY aggregator, snapshot_date ORDER BY commit_number DESC NULLS LAST, finished_at DESC) AS last_outcome
    FROM changes WHERE is_commit OR outcome = 'dropped'
),
commits AS (
    SELECT aggregator, snapshot_date, "rows" AS committed_rows, population, population IS NOT NULL AND coalesce(facts_only, false) AS facts_only,
        last_outcome = 'dropped' AS is_dropped
    FROM numbered WHERE is_commit AND n = 1
),
compared AS (
    SELECT *, lag(snapshot_date) OVER days AS before,
        lag(facts_only, 1, true) OVER days OR coalesce(lag(population) OVER days <> population, false) AS begins
    FROM commits WINDOW days AS (PARTITION BY aggregator ORDER BY snapshot_date)
),
populations AS (
    SELECT *, max(IF(begins, snapshot_date)) OVER (PARTITION BY aggregator ORDER BY snapshot_date) AS population_since FROM compared
)
SELECT aggregator, snapshot_date, committed_rows, facts_only, is_dropped, population_since, IF(begins, NULL, before) AS previous,
    -- The last snapshot 7 to 13 days before, and so on.
    max(snapshot_date) OVER (days RANGE BETWEEN INTERVAL '13' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING) AS baseline_7,
    max(snapshot_date) OVER (days RANGE BETWEEN INTERVAL '59' DAY PRECEDING AND INTERVAL '30' DAY PRECEDING) AS baseline_30,
    max(snapshot_date) OVER (days RANGE BETWEEN INTERVAL '179' DAY PRECEDING AND INTERVAL '90' DAY PRECEDING) AS baseline_90
FROM populations WINDOW days AS (PARTITION BY aggregator, population_since ORDER BY snapshot_date);

-- 2. Has to give no row. `compline verify` says what to do about a day whose snapshot has other rows than were committed. Of a day with
-- null in there_rows the state is not there, from which the range goes on: begin with an earlier day.
WITH compared AS (
    SELECT coalesce(days.aggregator, there.aggregator) AS aggregator, coalesce(days.snapshot_date, there.snapshot_date) AS snapshot_date,
        committed_rows, coalesce(there_rows, 0) AS there_rows
    FROM {target}.days_recomputed AS days
    FULL JOIN (SELECT aggregator, snapshot_date, count(*) AS there_rows FROM {snapshots} GROUP BY aggregator, snapshot_date) AS there
        ON there.aggregator = days.aggregator AND there.snapshot_date = days.snapshot_date
)
SELECT aggregator, snapshot_date, committed_rows, there_rows FROM compared
WHERE there_rows <> coalesce(committed_rows, -1) AND ({in range})
UNION ALL
SELECT aggregator, snapshot_date, committed_rows, NULL FROM {target}.days_recomputed
WHERE committed_rows > 0 AND NOT ({in range})
    AND (aggregator, snapshot_date) IN (SELECT aggregator, previous FROM {target}.days_recomputed WHERE NOT facts_only AND ({in range}))
    AND (aggregator, snapshot_date) NOT IN (SELECT aggregator, snapshot_date FROM {database}.pack_status);

-- 3. The packs of the month's snapshots go on from what was known after the snapshot before the month.
{into pack_status}
WITH days AS (
    SELECT snapshot_date AS day, previous, population_since FROM {target}.days_recomputed
    WHERE aggregator = '{aggregator}' AND NOT facts_only AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
),
known AS (
    SELECT status.*, days.population_since FROM {known pack_status} AS status
    -- Of the first day of the month alone.
    JOIN days ON status.snapshot_date = days.previous
    WHERE status.aggregator = '{aggregator}' AND status.snapshot_date < DATE '{first}'
),
one_by_one AS (
    SELECT population_since, last_seen_date AS day, CAST(NULL AS date) AS previous, account_id, aws_region, conformance_pack_name, pack_group,
        compliance_type, true AS is_known, status_since AS since_known, first_seen_date AS first_known,
        previous_compliance_type AS type_known, change_count AS count_known
    FROM known
    UNION ALL
    SELECT population_since, day, previous, account_id, aws_region, conformance_pack_name, pack_group,
        compliance_type, false, NULL, NULL, NULL, NULL
    FROM {snapshots} AS snapshots JOIN days ON days.day = snapshots.snapshot_date
    WHERE snapshots.aggregator = '{aggregator}' AND snapshots.snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
),
seen AS (
    SELECT *, lag(day) OVER pack AS seen_before, lag(compliance_type) OVER pack AS type_before, lead(day) OVER pack AS seen_next
    FROM one_by_one
    WINDOW pack AS (PARTITION BY population_since, account_id, aws_region, conformance_pack_name ORDER BY day)
),
-- A pack that the snapshot before had last seen more than 400 days before is forgotten: it begins anew.
lives AS (
    SELECT *, NOT is_known AND (seen_before IS NULL OR date_diff('day', seen_before, previous) > 400) AS is_first FROM seen
),
events AS (
    SELECT *, NOT is_known AND NOT is_first AND seen_before = previous AS was_present,
        NOT is_known AND NOT is_first AND compliance_type IS DISTINCT FROM type_before AS other_type
    FROM lives
),
counted AS (
    SELECT *, count_if(was_present AND other_type) OVER so_far AS changes,
        -- Days only grow, so the last of them is the largest.
        max(CASE WHEN is_known THEN since_known WHEN is_first OR NOT was_present OR other_type THEN day END) OVER so_far AS status_since,
        -- In a row, since the type may be null where that is the answer.
        last_value(CASE WHEN is_known THEN ROW(type_known) WHEN is_first THEN ROW(CAST(NULL AS varchar)) WHEN other_type THEN ROW(type_before) END)
            IGNORE NULLS OVER so_far AS previous_type,
        last_value(CASE WHEN is_known THEN first_known WHEN is_first THEN day END) IGNORE NULLS OVER so_far AS first_seen
    FROM events
    WINDOW so_far AS (PARTITION BY population_since, account_id, aws_region, conformance_pack_name ORDER BY day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),
states AS (
    SELECT *, changes + last_value(CASE WHEN is_known THEN count_known WHEN is_first THEN -changes END) IGNORE NULLS OVER so_far AS change_count
    FROM counted
    WINDOW so_far AS (PARTITION BY population_since, account_id, aws_region, conformance_pack_name ORDER BY day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
-- Every pack that is not forgotten, as of each day: as it was when it was last seen.
SELECT account_id, aws_region, conformance_pack_name, pack_group, compliance_type, previous_type[1] AS previous_compliance_type,
    status_since, CAST(date_diff('day', status_since, states.day) AS integer) AS days_in_status, first_seen AS first_seen_date,
    states.day AS last_seen_date, states.day = days.day AS is_present, CAST(change_count AS integer) AS change_count,
    days.day AS snapshot_date, CAST('{aggregator}' AS varchar) AS aggregator
FROM states JOIN days ON days.population_since = states.population_since
    AND days.day >= states.day AND (seen_next IS NULL OR days.day < seen_next) AND date_diff('day', states.day, days.day) <= 400;

-- 4. Each day's state beside that of the snapshot before.
{into pack_changes}
WITH days AS (
    SELECT snapshot_date AS day, previous FROM {target}.days_recomputed
    WHERE aggregator = '{aggregator}' AND NOT facts_only AND previous IS NOT NULL AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
),
states AS (
    SELECT * FROM {target}.pack_status_recomputed WHERE aggregator = '{aggregator}' AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
    UNION ALL
    SELECT * FROM {known pack_status} AS status
    WHERE aggregator = '{aggregator}' AND snapshot_date < DATE '{first}' AND snapshot_date IN (SELECT previous FROM days)
),
now AS (SELECT days.day, states.* FROM states JOIN days ON days.day = states.snapshot_date WHERE is_present),
before AS (SELECT days.day, states.* FROM states JOIN days ON days.previous = states.snapshot_date),
moves AS (
    SELECT coalesce(now.day, before.day) AS day, coalesce(now.account_id, before.account_id) AS account_id,
        coalesce(now.aws_region, before.aws_region) AS aws_region,
        coalesce(now.conformance_pack_name, before.conformance_pack_name) AS conformance_pack_name,
        coalesce(now.pack_group, before.pack_group) AS pack_group, before.compliance_type AS from_type, now.compliance_type AS to_type,
        before.status_since AS since_before, before.days_in_status AS days_before,
        CASE
            WHEN before.account_id IS NULL THEN 'added'
            WHEN now.account_id IS NOT NULL AND NOT before.is_present THEN 'reappeared'
            WHEN now.account_id IS NULL AND before.is_present THEN 'removed'
            WHEN now.account_id IS NULL OR before.compliance_type IS NOT DISTINCT FROM now.compliance_type THEN NULL
            WHEN before.compliance_type = 'COMPLIANT' AND now.compliance_type = 'NON_COMPLIANT' THEN 'regressed'
            WHEN before.compliance_type = 'NON_COMPLIANT' AND now.compliance_type = 'COMPLIANT' THEN 'remediated'
            ELSE 'changed'
        END AS change
    FROM now FULL JOIN before ON before.day = now.day AND before.account_id = now.account_id AND before.aws_region = now.aws_region
        AND before.conformance_pack_name = now.conformance_pack_name
)
SELECT account_id, aws_region, conformance_pack_name, pack_group, CAST(change AS varchar) AS change, from_type, to_type,
    IF(change = 'reappeared', days_before, CAST(date_diff('day', since_before, moves.day) AS integer)) AS days_in_previous_status,
    days.previous AS previous_snapshot_date, moves.day AS snapshot_date, CAST('{aggregator}' AS varchar) AS aggregator
FROM moves JOIN days ON days.day = moves.day WHERE change IS NOT NULL;

-- 5. Totals of each day, of packs, rules and events, and what looks back over earlier ones.
{into compliance_trends}
WITH days AS (
    SELECT snapshot_date AS day, previous, population_since, baseline_7, baseline_30, baseline_90 FROM {target}.days_recomputed
    WHERE aggregator = '{aggregator}' AND NOT facts_only AND snapshot_date <= DATE '{last}'
),
packs AS (
    SELECT snapshot_date AS day, account_id, aws_region, pack_group, compliance_type, days_in_status, NULL AS change, NULL AS days_before,
        true AS here, NULL AS compliant, NULL AS non_compliant, NULL AS insufficient_data, NULL AS total
    FROM {target}.pack_status_recomputed
    WHERE aggregator = '{aggregator}' AND is_present AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
    UNION ALL
    SELECT snapshot_date, account_id, aws_region, pack_group, NULL, NULL, NULL, NULL, false,
        compliant_rule_count, non_compliant_rule_count, insufficient_data_rule_count, total_rule_count
    FROM {snapshots} AS snapshots WHERE aggregator = '{aggregator}' AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
        AND snapshot_date IN (SELECT day FROM days)
    UNION ALL
    SELECT snapshot_date, account_id, aws_region, pack_group, NULL, NULL, change, days_in_previous_status, false, NULL, NULL, NULL, NULL
    FROM {target}.pack_changes_recomputed WHERE aggregator = '{aggregator}' AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}'
),
by_dimension AS (
    SELECT packs.*, dimension, dimension_value
    FROM packs CROSS JOIN UNNEST(ARRAY['aggregator', 'account', 'region', 'pack_group'], ARRAY['{aggregator}', account_id, aws_region, pack_group])
        AS dimensions(dimension, dimension_value)
    UNION ALL
    -- The aggregator has a row on every day, on one with neither a pack nor an event too.
    SELECT day, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, 'aggregator', '{aggregator}'
    FROM days WHERE day >= DATE '{first}'
),
sums AS (
    SELECT day, dimension, dimension_value, count_if(here) AS packs_total,
        count_if(compliance_type = 'COMPLIANT') AS packs_compliant, count_if(compliance_type = 'NON_COMPLIANT') AS packs_non_compliant,
        count_if(compliance_type = 'INSUFFICIENT_DATA') AS packs_insufficient_data,
        coalesce(sum(compliant), 0) AS rules_compliant, coalesce(sum(non_compliant), 0) AS rules_non_compliant,
        coalesce(sum(insufficient_data), 0) AS rules_insufficient_data, coalesce(sum(total), 0) AS rules_total,
        count_if(change = 'added') AS packs_added, count_if(change = 'removed') AS packs_removed,
        count_if(change = 'reappeared') AS packs_reappeared, count_if(change = 'regressed') AS packs_regressed,
        count_if(change = 'remediated') AS packs_remediated, coalesce(sum(IF(change = 'remediated', days_before)), 0) AS remediation_days,
        array_sort(array_agg(days_in_status) FILTER (WHERE compliance_type = 'NON_COMPLIANT')) AS open_days
    FROM by_dimension GROUP BY day, dimension, dimension_value
),
totals AS (
    SELECT sums.*, previous,
        IF(packs_compliant + packs_non_compliant > 0,
            CAST(packs_compliant AS double) / (CAST(packs_compliant AS double) + CAST(packs_non_compliant AS double))) AS pack_rate,
        IF(rules_compliant >= 0 AND rules_non_compliant >= 0 AND rules_compliant + rules_non_compliant > 0,
            CAST(rules_compliant AS double) / (CAST(rules_compliant AS double) + CAST(rules_non_compliant AS double))) AS rule_rate
    FROM sums JOIN days ON days.day = sums.day
),
-- With the days before the month that its windows reach.
history AS (
    SELECT day, dimension, dimension_value, packs_total, pack_rate, rule_rate,
        IF(previous IS NOT NULL, packs_remediated) AS remediated, IF(previous IS NOT NULL, remediation_days) AS remediation_days
    FROM totals
    UNION ALL
    SELECT snapshot_date, dimension, dimension_value, packs_total, pack_compliance_rate, rule_compliance_rate, packs_remediated, remediation_days
    FROM {known compliance_trends} AS trends
    WHERE aggregator = '{aggregator}' AND snapshot_date < DATE '{first}' AND snapshot_date > DATE '{first}' - INTERVAL '180' DAY
),
looked_back AS (
    SELECT history.day, dimension, dimension_value, population_since,
        IF(last_value(history.day) OVER before_7 = baseline_7, pack_rate - last_value(pack_rate) OVER before_7) AS pack_change_7,
        IF(last_value(history.day) OVER before_7 = baseline_7, rule_rate - last_value(rule_rate) OVER before_7) AS rule_change_7,
        IF(last_value(history.day) OVER before_30 = baseline_30, pack_rate - last_value(pack_rate) OVER before_30) AS pack_change_30,
        IF(last_value(history.day) OVER before_30 = baseline_30, rule_rate - last_value(rule_rate) OVER before_30) AS rule_change_30,
        IF(last_value(history.day) OVER before_90 = baseline_90, pack_rate - last_value(pack_rate) OVER before_90) AS pack_change_90,
        IF(last_value(history.day) OVER before_90 = baseline_90, rule_rate - last_value(rule_rate) OVER before_90) AS rule_change_90,
        array_agg(pack_rate) OVER in_7 AS pack_rates_7, array_agg(rule_rate) OVER in_7 AS rule_rates_7,
        array_agg(pack_rate) OVER in_30 AS pack_rates_30, array_agg(rule_rate) OVER in_30 AS rule_rates_30,
        array_agg(pack_rate) OVER in_90 AS pack_rates_90, array_agg(rule_rate) OVER in_90 AS rule_rates_90,
        count_if(packs_total > 0) OVER in_7 AS observed_7, count_if(packs_total > 0) OVER in_30 AS observed_30,
        count_if(packs_total > 0) OVER in_90 AS observed_90,
        coalesce(sum(remediated) OVER in_30, 0) AS remediations_30, coalesce(sum(remediated) OVER in_90, 0) AS remediations_90,
        sum(remediation_days) OVER in_30 AS remediation_days_30, sum(remediation_days) OVER in_90 AS remediation_days_90
    FROM history JOIN days ON days.day = history.day
    WINDOW value AS (PARTITION BY population_since, dimension, dimension_value ORDER BY history.day),
        in_7 AS (value RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW),
        in_30 AS (value RANGE BETWEEN INTERVAL '29' DAY PRECEDING AND CURRENT ROW),
        in_90 AS (value RANGE BETWEEN INTERVAL '89' DAY PRECEDING AND CURRENT ROW),
        before_7 AS (value RANGE BETWEEN INTERVAL '13' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING),
        before_30 AS (value RANGE BETWEEN INTERVAL '59' DAY PRECEDING AND INTERVAL '30' DAY PRECEDING),
        before_90 AS (value RANGE BETWEEN INTERVAL '179' DAY PRECEDING AND INTERVAL '90' DAY PRECEDING)
),
-- Polars adds up as Kahan does, and `avg` does not: their last digits differ.
means AS (
    SELECT *, transform(
        transform(ARRAY[pack_rates_7, rule_rates_7, pack_rates_30, rule_rates_30, pack_rates_90, rule_rates_90],
            rates -> filter(rates, rate -> rate IS NOT NULL)),
        rates -> IF(cardinality(rates) > 0, reduce(rates, CAST(ROW(0e0, 0e0) AS ROW(total double, error double)),
            (sum, rate) -> CAST(ROW(sum.total + (rate - sum.error), sum.total + (rate - sum.error) - sum.total - (rate - sum.error))
                AS ROW(total double, error double)),
            sum -> sum.total) / cardinality(rates))) AS mean
    FROM looked_back WHERE day >= DATE '{first}'
)
SELECT CAST(totals.dimension AS varchar) AS dimension, CAST(totals.dimension_value AS varchar) AS dimension_value,
    CAST(packs_total AS integer) AS packs_total, CAST(packs_compliant AS integer) AS packs_compliant,
    CAST(packs_non_compliant AS integer) AS packs_non_compliant, CAST(packs_insufficient_data AS integer) AS packs_insufficient_data,
    CAST(packs_total - packs_compliant - packs_non_compliant - packs_insufficient_data AS integer) AS packs_unknown,
    rules_compliant, rules_non_compliant, rules_insufficient_data, rules_total,
    pack_rate AS pack_compliance_rate, rule_rate AS rule_compliance_rate, previous AS previous_snapshot_date,
    -- Without a snapshot before there is nothing to count events against.
    IF(previous IS NOT NULL, CAST(packs_added AS integer)) AS packs_added, IF(previous IS NOT NULL, CAST(packs_removed AS integer)) AS packs_removed,
    IF(previous IS NOT NULL, CAST(packs_reappeared AS integer)) AS packs_reappeared,
    IF(previous IS NOT NULL, CAST(packs_regressed AS integer)) AS packs_regressed,
    IF(previous IS NOT NULL, CAST(packs_remediated AS integer)) AS packs_remediated,
    IF(previous IS NOT NULL, remediation_days) AS remediation_days,
    pack_change_7 AS pack_compliance_rate_change_7d, rule_change_7 AS rule_compliance_rate_change_7d,
    mean[1] AS pack_compliance_rate_mean_7d, mean[2] AS rule_compliance_rate_mean_7d, CAST(observed_7 AS integer) AS days_observed_7d,
    pack_change_30 AS pack_compliance_rate_change_30d, rule_change_30 AS rule_compliance_rate_change_30d,
    mean[3] AS pack_compliance_rate_mean_30d, mean[4] AS rule_compliance_rate_mean_30d, CAST(observed_30 AS integer) AS days_observed_30d,
    pack_change_90 AS pack_compliance_rate_change_90d, rule_change_90 AS rule_compliance_rate_change_90d,
    mean[5] AS pack_compliance_rate_mean_90d, mean[6] AS rule_compliance_rate_mean_90d, CAST(observed_90 AS integer) AS days_observed_90d,
    remediations_30 AS remediations_30d,
    IF(remediations_30 > 0, CAST(remediation_days_30 AS double) / CAST(remediations_30 AS double)) AS mean_days_to_remediate_30d,
    remediations_90 AS remediations_90d,
    IF(remediations_90 > 0, CAST(remediation_days_90 AS double) / CAST(remediations_90 AS double)) AS mean_days_to_remediate_90d,
    CAST(packs_non_compliant AS integer) AS open_non_compliant_packs,
    -- The one in the middle, or the mean of both.
    IF(packs_non_compliant > 0, (open_days[(cardinality(open_days) + 1) / 2] + open_days[cardinality(open_days) / 2 + 1]) / 2e0)
        AS open_non_compliant_median_days,
    IF(packs_non_compliant > 0, open_days[cardinality(open_days)]) AS open_non_compliant_max_days,
    population_since, totals.day AS snapshot_date, CAST('{aggregator}' AS varchar) AS aggregator
FROM totals JOIN means ON means.day = totals.day AND means.dimension = totals.dimension AND means.dimension_value = totals.dimension_value;
