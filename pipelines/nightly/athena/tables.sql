-- Compline's tables, for Athena: run a statement at a time. Partitions are projected, so that none needs to be added.
-- The aggregators are those of the pipeline file alone, and days begin in 2020: the lake was not listed (--offline).
-- After a change of the aggregators, or an import of days before the first, drop the tables, which leaves the lake as it
-- is, and run these again.

CREATE DATABASE IF NOT EXISTS `compline`;

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`pack_compliance` (
    `account_id` string COMMENT 'AWS account, 12 digits as text',
    `aws_region` string COMMENT 'AWS region',
    `conformance_pack_name` string COMMENT 'full name of the conformance pack',
    `pack_group` string COMMENT 'name shared by the copies of an organization pack, else the pack\'s own name',
    `is_organization_pack` boolean COMMENT 'whether the name is that of an organization pack',
    `compliance_type` string COMMENT 'as AWS Config said it: COMPLIANT, NON_COMPLIANT, INSUFFICIENT_DATA or another text, null if it said none',
    `compliant_rule_count` int COMMENT 'rules that are compliant, as AWS Config said it',
    `non_compliant_rule_count` int COMMENT 'rules that are not compliant, as AWS Config said it',
    `insufficient_data_rule_count` int COMMENT 'rules that could not be evaluated: total less compliant less non-compliant',
    `total_rule_count` int COMMENT 'all rules of the pack, as AWS Config said it',
    `rule_compliance_rate` double COMMENT 'compliant / (compliant + non-compliant) rules, 0..1 (null if there are none)',
    `source_status` string COMMENT 'what the aggregator says of this account and region: SUCCEEDED, FAILED or OUTDATED',
    `source_updated_at` timestamp COMMENT 'when the aggregator last heard from this account and region',
    `collected_at` timestamp COMMENT 'when the answer with this row arrived, null for imported files that do not say',
    `run_id` string COMMENT 'the run that collected it'
)
COMMENT 'one row per pack, account and region in the snapshot, as AWS Config said it. Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/pack_compliance/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/pack_compliance/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`source_status` (
    `source_id` string COMMENT 'source account, or the organization\'s id',
    `source_type` string COMMENT 'ACCOUNT or ORGANIZATION',
    `aws_region` string COMMENT 'source region',
    `status` string COMMENT 'SUCCEEDED, FAILED or OUTDATED, as AWS Config said it',
    `last_update_time` timestamp COMMENT 'when the aggregator last heard from the source',
    `error_code` string COMMENT 'why the last update failed',
    `error_message` string COMMENT 'why the last update failed, in words',
    `collected_at` timestamp COMMENT 'when the answer with this row arrived',
    `run_id` string COMMENT 'the run that collected it'
)
COMMENT 'one row per source account and region, as the aggregator said it. Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/source_status/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/source_status/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`pack_changes` (
    `account_id` string COMMENT 'AWS account, 12 digits as text',
    `aws_region` string COMMENT 'AWS region',
    `conformance_pack_name` string COMMENT 'full name of the conformance pack',
    `pack_group` string COMMENT 'name shared by the copies of an organization pack, else the pack\'s own name',
    `change` string COMMENT 'added, removed, reappeared, regressed, remediated or changed, since the previous snapshot',
    `from_type` string COMMENT 'compliance type before: for reappeared the last one known, null for added',
    `to_type` string COMMENT 'compliance type now, null for removed',
    `days_in_previous_status` int COMMENT 'days from the start of the status before to this day, or for reappeared to the day it was last seen',
    `previous_snapshot_date` date COMMENT 'the snapshot this day is compared with'
)
COMMENT 'one row per event: what changed since the snapshot before. Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/pack_changes/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/pack_changes/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`compliance_trends` (
    `dimension` string COMMENT 'aggregator, account, region or pack_group',
    `dimension_value` string COMMENT 'which one',
    `packs_total` int COMMENT 'packs in the snapshot',
    `packs_compliant` int COMMENT 'packs that are COMPLIANT',
    `packs_non_compliant` int COMMENT 'packs that are NON_COMPLIANT',
    `packs_insufficient_data` int COMMENT 'packs that are INSUFFICIENT_DATA',
    `packs_unknown` int COMMENT 'packs with another compliance type, or none',
    `rules_compliant` bigint COMMENT 'sum of compliant rules',
    `rules_non_compliant` bigint COMMENT 'sum of non-compliant rules',
    `rules_insufficient_data` bigint COMMENT 'sum of rules that could not be evaluated',
    `rules_total` bigint COMMENT 'sum of all rules',
    `pack_compliance_rate` double COMMENT 'compliant / (compliant + non-compliant) packs, 0..1 (null if there are none)',
    `rule_compliance_rate` double COMMENT 'sum of compliant / sum of compliant and non-compliant rules, 0..1 (null if there are none)',
    `previous_snapshot_date` date COMMENT 'the snapshot the events are counted against, null on the first day',
    `packs_added` int COMMENT 'packs never seen before, null on the first day',
    `packs_removed` int COMMENT 'packs that are gone, null on the first day',
    `packs_reappeared` int COMMENT 'packs that came back, null on the first day',
    `packs_regressed` int COMMENT 'packs that went from COMPLIANT to NON_COMPLIANT, null on the first day',
    `packs_remediated` int COMMENT 'packs that went from NON_COMPLIANT to COMPLIANT, null on the first day',
    `remediation_days` bigint COMMENT 'sum of the days that this day\'s remediated packs had been NON_COMPLIANT, null on the first day',
    `pack_compliance_rate_change_7d` double COMMENT 'pack rate less that of the last snapshot 7 to 13 days ago',
    `rule_compliance_rate_change_7d` double COMMENT 'rule rate less that of the last snapshot 7 to 13 days ago',
    `pack_compliance_rate_mean_7d` double COMMENT 'mean of the pack rates of the snapshots in 7 days',
    `rule_compliance_rate_mean_7d` double COMMENT 'mean of the rule rates of the snapshots in 7 days',
    `days_observed_7d` int COMMENT 'snapshots in the 7 calendar days that end on this day and have packs here',
    `pack_compliance_rate_change_30d` double COMMENT 'pack rate less that of the last snapshot 30 to 59 days ago',
    `rule_compliance_rate_change_30d` double COMMENT 'rule rate less that of the last snapshot 30 to 59 days ago',
    `pack_compliance_rate_mean_30d` double COMMENT 'mean of the pack rates of the snapshots in 30 days',
    `rule_compliance_rate_mean_30d` double COMMENT 'mean of the rule rates of the snapshots in 30 days',
    `days_observed_30d` int COMMENT 'snapshots in the 30 calendar days that end on this day and have packs here',
    `pack_compliance_rate_change_90d` double COMMENT 'pack rate less that of the last snapshot 90 to 179 days ago',
    `rule_compliance_rate_change_90d` double COMMENT 'rule rate less that of the last snapshot 90 to 179 days ago',
    `pack_compliance_rate_mean_90d` double COMMENT 'mean of the pack rates of the snapshots in 90 days',
    `rule_compliance_rate_mean_90d` double COMMENT 'mean of the rule rates of the snapshots in 90 days',
    `days_observed_90d` int COMMENT 'snapshots in the 90 calendar days that end on this day and have packs here',
    `remediations_30d` bigint COMMENT 'packs remediated in 30 days',
    `mean_days_to_remediate_30d` double COMMENT 'mean days those packs had been NON_COMPLIANT (open ones are not in it)',
    `remediations_90d` bigint COMMENT 'packs remediated in 90 days',
    `mean_days_to_remediate_90d` double COMMENT 'mean days those packs had been NON_COMPLIANT (open ones are not in it)',
    `open_non_compliant_packs` int COMMENT 'packs that are NON_COMPLIANT now',
    `open_non_compliant_median_days` double COMMENT 'median of the days they have been so',
    `open_non_compliant_max_days` int COMMENT 'maximum of the days they have been so',
    `population_since` date COMMENT 'first snapshot since the aggregator\'s filters, include or exclude last changed: trends look back no further'
)
COMMENT 'one row per dimension and value: totals, rates, and how they moved in 7, 30 and 90 days (a gap is not filled). Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/compliance_trends/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/compliance_trends/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`pack_status` (
    `account_id` string COMMENT 'AWS account, 12 digits as text',
    `aws_region` string COMMENT 'AWS region',
    `conformance_pack_name` string COMMENT 'full name of the conformance pack',
    `pack_group` string COMMENT 'name shared by the copies of an organization pack, else the pack\'s own name',
    `compliance_type` string COMMENT 'compliance type when last seen',
    `previous_compliance_type` string COMMENT 'the other compliance type it had before this one',
    `status_since` date COMMENT 'first snapshot of the unbroken time in this compliance type',
    `days_in_status` int COMMENT 'days from status_since to this day, or to the day it was last seen',
    `first_seen_date` date COMMENT 'first snapshot that had the pack',
    `last_seen_date` date COMMENT 'last snapshot that had the pack',
    `is_present` boolean COMMENT 'whether this day\'s snapshot has the pack',
    `change_count` int COMMENT 'how often its compliance type changed from one snapshot to the next'
)
COMMENT 'one row per pack ever seen, as of that day (a pack that is gone stays for 400 days). Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/pack_status/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/pack_status/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`rule_compliance` (
    `account_id` string COMMENT 'AWS account, 12 digits as text',
    `aws_region` string COMMENT 'AWS region',
    `config_rule_name` string COMMENT 'full name of the Config rule',
    `rule_group` string COMMENT 'the rule\'s name without the ending that its pack, its organization or Security Hub gave it',
    `conformance_pack_id` string COMMENT 'what a pack\'s rules have at the end of their names, one in each account and region, null for a rule of no pack',
    `compliance_type` string COMMENT 'as AWS Config said it: COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE, INSUFFICIENT_DATA or another text, null if it said none',
    `contributor_count` int COMMENT 'resources that are why it is compliant or not, as far as AWS Config counts them',
    `contributor_count_capped` boolean COMMENT 'whether there are more of them than it counts',
    `source_status` string COMMENT 'what the aggregator says of this account and region: SUCCEEDED, FAILED or OUTDATED',
    `source_updated_at` timestamp COMMENT 'when the aggregator last heard from this account and region',
    `collected_at` timestamp COMMENT 'when the answer with this row arrived, null for imported files that do not say',
    `run_id` string COMMENT 'the run that collected it'
)
COMMENT 'one row per Config rule, account and region in the snapshot, as AWS Config said it. Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/rule_compliance/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/rule_compliance/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`rule_changes` (
    `account_id` string COMMENT 'AWS account, 12 digits as text',
    `aws_region` string COMMENT 'AWS region',
    `config_rule_name` string COMMENT 'full name of the Config rule',
    `rule_group` string COMMENT 'the rule\'s name without the ending that its pack, its organization or Security Hub gave it',
    `change` string COMMENT 'added, removed, reappeared, regressed, remediated or changed, since the previous snapshot',
    `from_type` string COMMENT 'compliance type before: for reappeared the last one known, null for added',
    `to_type` string COMMENT 'compliance type now, null for removed',
    `days_in_previous_status` int COMMENT 'days from the start of the status before to this day, or for reappeared to the day it was last seen',
    `previous_snapshot_date` date COMMENT 'the snapshot this day is compared with'
)
COMMENT 'one row per event of a rule: what changed since the snapshot before. Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/rule_changes/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/rule_changes/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`rule_trends` (
    `dimension` string COMMENT 'aggregator, account, region or rule_group',
    `dimension_value` string COMMENT 'which one',
    `rules_total` int COMMENT 'rules in the snapshot',
    `rules_compliant` int COMMENT 'rules that are COMPLIANT',
    `rules_non_compliant` int COMMENT 'rules that are NON_COMPLIANT',
    `rules_not_applicable` int COMMENT 'rules that are NOT_APPLICABLE',
    `rules_insufficient_data` int COMMENT 'rules that are INSUFFICIENT_DATA',
    `rules_unknown` int COMMENT 'rules with another compliance type, or none',
    `rule_compliance_rate` double COMMENT 'compliant / (compliant + non-compliant) rules, 0..1 (null if there are none)',
    `previous_snapshot_date` date COMMENT 'the snapshot the events are counted against, null on the first day',
    `rules_added` int COMMENT 'rules never seen before, null on the first day',
    `rules_removed` int COMMENT 'rules that are gone, null on the first day',
    `rules_reappeared` int COMMENT 'rules that came back, null on the first day',
    `rules_regressed` int COMMENT 'rules that went from COMPLIANT to NON_COMPLIANT, null on the first day',
    `rules_remediated` int COMMENT 'rules that went from NON_COMPLIANT to COMPLIANT, null on the first day',
    `remediation_days` bigint COMMENT 'sum of the days that this day\'s remediated rules had been NON_COMPLIANT, null on the first day',
    `rule_compliance_rate_change_7d` double COMMENT 'rate less that of the last snapshot 7 to 13 days ago',
    `rule_compliance_rate_mean_7d` double COMMENT 'mean of the rates of the snapshots in 7 days',
    `days_observed_7d` int COMMENT 'snapshots in the 7 calendar days that end on this day and have rules here',
    `rule_compliance_rate_change_30d` double COMMENT 'rate less that of the last snapshot 30 to 59 days ago',
    `rule_compliance_rate_mean_30d` double COMMENT 'mean of the rates of the snapshots in 30 days',
    `days_observed_30d` int COMMENT 'snapshots in the 30 calendar days that end on this day and have rules here',
    `rule_compliance_rate_change_90d` double COMMENT 'rate less that of the last snapshot 90 to 179 days ago',
    `rule_compliance_rate_mean_90d` double COMMENT 'mean of the rates of the snapshots in 90 days',
    `days_observed_90d` int COMMENT 'snapshots in the 90 calendar days that end on this day and have rules here',
    `remediations_30d` bigint COMMENT 'rules remediated in 30 days',
    `mean_days_to_remediate_30d` double COMMENT 'mean days those rules had been NON_COMPLIANT (open ones are not in it)',
    `remediations_90d` bigint COMMENT 'rules remediated in 90 days',
    `mean_days_to_remediate_90d` double COMMENT 'mean days those rules had been NON_COMPLIANT (open ones are not in it)',
    `open_non_compliant_rules` int COMMENT 'rules that are NON_COMPLIANT now',
    `open_non_compliant_median_days` double COMMENT 'median of the days they have been so',
    `open_non_compliant_max_days` int COMMENT 'maximum of the days they have been so',
    `population_since` date COMMENT 'first snapshot since the aggregator\'s filters, include or exclude last changed: trends look back no further'
)
COMMENT 'one row per dimension and value, of rules: totals, rates, and how they moved in 7, 30 and 90 days. Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/rule_trends/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/rule_trends/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`rule_status` (
    `account_id` string COMMENT 'AWS account, 12 digits as text',
    `aws_region` string COMMENT 'AWS region',
    `config_rule_name` string COMMENT 'full name of the Config rule',
    `rule_group` string COMMENT 'the rule\'s name without the ending that its pack, its organization or Security Hub gave it',
    `compliance_type` string COMMENT 'compliance type when last seen',
    `previous_compliance_type` string COMMENT 'the other compliance type it had before this one',
    `status_since` date COMMENT 'first snapshot of the unbroken time in this compliance type',
    `days_in_status` int COMMENT 'days from status_since to this day, or to the day it was last seen',
    `first_seen_date` date COMMENT 'first snapshot that had the rule',
    `last_seen_date` date COMMENT 'last snapshot that had the rule',
    `is_present` boolean COMMENT 'whether this day\'s snapshot has the rule',
    `change_count` int COMMENT 'how often its compliance type changed from one snapshot to the next'
)
COMMENT 'one row per rule ever seen, as of that day (a rule that is gone stays for 400 days). Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/rule_status/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/rule_status/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `compline`.`runs` (
    `run_id` string COMMENT 'the run',
    `started_at` timestamp COMMENT 'when the run started',
    `finished_at` timestamp COMMENT 'when the run was done with this aggregator',
    `outcome` string COMMENT 'succeeded, held, rejected, failed, or dropped: moved to its month\'s file by maintain',
    `error` string COMMENT 'why it failed, or is held, or what was left undone',
    `command` string COMMENT 'run, import or maintain',
    `shards` int COMMENT 'shards of the plan',
    `shards_resumed` int COMMENT 'shards of the plan that a stopped run had read',
    `shard_restarts` int COMMENT 'shards read again from their first page, since AWS Config refused their page token',
    `calls` bigint COMMENT 'requests sent to AWS Config, repeated ones included',
    `retries` bigint COMMENT 'requests that repeated one that had failed',
    `throttles` bigint COMMENT 'requests answered with a throttling error',
    `pages` bigint COMMENT 'pages read',
    `empty_pages` bigint COMMENT 'pages without a row',
    `rows` bigint COMMENT 'rows committed to pack_compliance or rule_compliance, or held',
    `left_out` bigint COMMENT 'rows that came and that the pipeline file does not want',
    `duplicates` bigint COMMENT 'rows dropped because an equal one was there',
    `conflicts` bigint COMMENT 'rows dropped because a later answer for the same pack or rule differs',
    `warnings` bigint COMMENT 'rows whose numbers or type contradict each other, stored as AWS Config said them',
    `unreconciled` bigint COMMENT 'accounts whose packs are not as many as AWS Config counts them, null if not asked',
    `bytes` bigint COMMENT 'bytes written, the ledger\'s own not counted',
    `version` string COMMENT 'version of Compline',
    `not_reconciled` string COMMENT 'why AWS Config\'s own count could not be had, null if it was, or was not asked',
    `snapshot_sha256` string COMMENT 'SHA-256 of the file that was committed to pack_compliance or rule_compliance, or is held, in hexadecimal',
    `source_status_sha256` string COMMENT 'SHA-256 of the file that was committed to source_status, or is held, in hexadecimal',
    `commit_number` bigint COMMENT 'order of what became of this day, 1 for the first: committed, held, rejected or dropped (null if the run changed nothing)',
    `population` string COMMENT 'which packs or rules were asked for: the filters, include and exclude of the pipeline file',
    `facts_only` boolean COMMENT 'whether the population depends on the compliance type, so that it has no trends',
    `caller` string COMMENT 'ARN of the caller identity that asked AWS Config, null if STS was not asked or did not say',
    `dataset` string COMMENT 'what was collected: packs or rules (null, of versions that knew no other, is packs)'
)
COMMENT 'one row per run, of those that failed too (commit_number is the order of what became of the day). Partitions are projected, for Athena and Trino: Redshift Spectrum, Glue jobs, EMR and Spark see rows only with partitions = "registered" or "both"'
PARTITIONED BY (`snapshot_date` date, `aggregator` string)
STORED AS PARQUET
LOCATION 's3://example-compliance-history/compline/runs/'
TBLPROPERTIES (
    'projection.aggregator.type' = 'enum',
    'projection.aggregator.values' = 'org,security',
    'projection.enabled' = 'true',
    'projection.snapshot_date.format' = 'yyyy-MM-dd',
    'projection.snapshot_date.interval' = '1',
    'projection.snapshot_date.interval.unit' = 'DAYS',
    'projection.snapshot_date.range' = '2020-01-01,NOW',
    'projection.snapshot_date.type' = 'date',
    'storage.location.template' = 's3://example-compliance-history/compline/runs/snapshot_date=${snapshot_date}/aggregator=${aggregator}/'
);
