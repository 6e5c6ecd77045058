-- A data set for QuickSight: Datasets, New dataset, Athena, Use custom SQL. One row per day, aggregator, dimension and value of the last 400 days:
-- filter by dimension before anything is summed, or each pack counts four times. Replace compline by your database.
SELECT
    snapshot_date,
    aggregator,
    dimension,
    dimension_value,
    packs_total,
    packs_compliant,
    packs_non_compliant,
    pack_compliance_rate,
    rule_compliance_rate,
    packs_regressed,
    packs_remediated,
    open_non_compliant_packs,
    mean_days_to_remediate_30d
FROM compline.compliance_trends
WHERE snapshot_date >= current_date - INTERVAL '400' DAY;
