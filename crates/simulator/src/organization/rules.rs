//! Config rules: those of each pack, those of no pack, and the compliance of each on any day.
//!
//! [`Life`] has how many rules of a pack are compliant; this module has which. A pack has the same rules wherever it is deployed.
//! In one account and region they always fail in the same order, so that a count that changes by one changes one rule.

use super::chance::{chance, letters};
use super::life::{Kind, Life, PackState, rules_in_pack};
use super::{Organization, day};
use compline_model::SnapshotDate;

/// Names of AWS's managed rules, in order; more than a pack has.
const MANAGED_RULES: [&str; 72] = [
    "access-keys-rotated",
    "acm-certificate-expiration-check",
    "alb-http-drop-invalid-header-enabled",
    "alb-http-to-https-redirection-check",
    "alb-waf-enabled",
    "api-gw-cache-enabled-and-encrypted",
    "api-gw-execution-logging-enabled",
    "autoscaling-group-elb-healthcheck-required",
    "cloud-trail-cloud-watch-logs-enabled",
    "cloud-trail-encryption-enabled",
    "cloud-trail-log-file-validation-enabled",
    "cloudtrail-enabled",
    "cloudtrail-s3-dataevents-enabled",
    "cloudtrail-security-trail-enabled",
    "cloudwatch-alarm-action-check",
    "cloudwatch-log-group-encrypted",
    "cmk-backing-key-rotation-enabled",
    "codebuild-project-envvar-awscred-check",
    "cw-loggroup-retention-period-check",
    "db-instance-backup-enabled",
    "dms-replication-not-public",
    "dynamodb-autoscaling-enabled",
    "dynamodb-in-backup-plan",
    "dynamodb-pitr-enabled",
    "dynamodb-table-encrypted-kms",
    "ebs-in-backup-plan",
    "ebs-snapshot-public-restorable-check",
    "ec2-ebs-encryption-by-default",
    "ec2-imdsv2-check",
    "ec2-instance-managed-by-systems-manager",
    "ec2-instance-no-public-ip",
    "ec2-managedinstance-patch-compliance-status-check",
    "efs-encrypted-check",
    "efs-in-backup-plan",
    "elasticache-redis-cluster-automatic-backup-check",
    "elasticsearch-encrypted-at-rest",
    "elb-deletion-protection-enabled",
    "elb-logging-enabled",
    "elb-tls-https-listeners-only",
    "emr-master-no-public-ip",
    "encrypted-volumes",
    "guardduty-enabled-centralized",
    "guardduty-non-archived-findings",
    "iam-group-has-users-check",
    "iam-no-inline-policy-check",
    "iam-password-policy",
    "iam-policy-no-statements-with-admin-access",
    "iam-root-access-key-check",
    "iam-user-mfa-enabled",
    "iam-user-unused-credentials-check",
    "kms-cmk-not-scheduled-for-deletion",
    "lambda-function-public-access-prohibited",
    "mfa-enabled-for-iam-console-access",
    "multi-region-cloudtrail-enabled",
    "rds-instance-public-access-check",
    "rds-logging-enabled",
    "rds-multi-az-support",
    "rds-storage-encrypted",
    "redshift-cluster-configuration-check",
    "restricted-common-ports",
    "restricted-ssh",
    "root-account-mfa-enabled",
    "s3-account-level-public-access-blocks",
    "s3-bucket-logging-enabled",
    "s3-bucket-public-read-prohibited",
    "s3-bucket-public-write-prohibited",
    "s3-bucket-server-side-encryption-enabled",
    "s3-bucket-ssl-requests-only",
    "s3-bucket-versioning-enabled",
    "secretsmanager-rotation-enabled-check",
    "securityhub-enabled",
    "vpc-flow-logs-enabled",
];

/// A rule of no pack, by who has deployed it.
#[derive(Debug)]
enum OwnRule {
    /// The account itself.
    Named(&'static str),
    /// An organization: the name begins with `OrgConfigRule-` and ends in 8 of `[a-z0-9]`, as AWS Audit Manager documents it.
    OfOrganization(&'static str),
    /// Security Hub: the name begins with `securityhub-` and ends in an identifier, as Security Hub documents it; that this is 8
    /// hexadecimal digits is assumed.
    OfSecurityHub(&'static str),
}

/// Rules of no pack. A name may have capitals, underscores and spaces. Three only look as if they were of a pack, of an
/// organization and of Security Hub.
const OWN_RULES: [OwnRule; 11] = [
    OwnRule::Named("ALB_HTTP_TO_HTTPS_REDIRECTION_CHECK"),
    OwnRule::Named("OrgConfigRule-required-tags-prod"),
    OwnRule::OfOrganization("restricted-ssh"),
    OwnRule::OfOrganization("s3-bucket-versioning-enabled"),
    OwnRule::Named("Root account has MFA"),
    OwnRule::Named("approved-amis-by-id"),
    OwnRule::Named("audit-conformance-pack-changes"),
    OwnRule::Named("required-tags"),
    OwnRule::Named("s3-bucket-versioning-enabled"),
    OwnRule::Named("securityhub-enabled"),
    OwnRule::OfSecurityHub("vpc-flow-logs-enabled"),
];

/// What the names of a pack's rules have between the rule's own name and the pack's id: `<rule>-conformance-pack-<id>`.
const BEFORE_PACK_ID: &str = "-conformance-pack-";

/// A rule of no pack has the life of a pack at this position or after, where there are no packs.
const OWN_LIVES: u64 = 1_000;

/// Where rules come from, in an account and region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleSource {
    pub(crate) account: u32,
    pub(crate) region: u16,
    /// The pack whose rules they are, and its state; nothing for the rules of no pack.
    pub(crate) pack: Option<(u16, PackState)>,
}

/// A rule on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// How many resources are why it is compliant or noncompliant, where that is told.
    pub(crate) contributors: Option<u16>,
}

/// The names of each pack's rules.
#[derive(Debug, Clone)]
pub(super) struct PackRules(Vec<Vec<&'static str>>);

impl PackRules {
    pub(super) fn new(seed: u64, packs: u32) -> Self {
        Self((0..u64::from(packs)).map(|pack| pack_rules(seed, pack)).collect())
    }
}

fn pack_rules(seed: u64, pack: u64) -> Vec<&'static str> {
    let mut drawn: Vec<usize> = (0..MANAGED_RULES.len()).collect();
    drawn.sort_by_cached_key(|rule| chance(&[seed, 60, pack, *rule as u64]));
    drawn.truncate(rules_in_pack(seed, pack).into());
    drawn.sort_unstable();
    drawn.into_iter().map(|rule| MANAGED_RULES[rule]).collect()
}

impl Organization {
    /// How many of [`Self::rules`] have a compliance type that is wanted, without making them.
    pub(crate) fn rule_count(&self, source: &RuleSource, wanted: impl Fn(Kind) -> bool, date: SnapshotDate) -> usize {
        match source.pack {
            None => self.own_lives(source, date).filter(|(_, _, kind)| wanted(*kind)).count(),
            Some((_, state)) => {
                Kind::ALL.into_iter().filter(|kind| wanted(*kind)).map(|kind| usize::from(state.rules(kind))).sum()
            }
        }
    }

    /// The rules of a source, in order of their names.
    pub(crate) fn rules(&self, source: &RuleSource, date: SnapshotDate) -> Vec<Rule> {
        let Some(deployed @ (pack, state)) = source.pack else { return self.own_rules(source, date).collect() };
        let life = self.life(source.account, source.region.into(), pack.into());
        let id = String::from_iter(self.pack_id(source, deployed, date));
        let names = &self.pack_rules.0[usize::from(pack)];
        let named = names.iter().zip(life.rule_kinds(&state)).enumerate();
        named
            .map(|(rule, (name, kind))| Rule {
                name: format!("{name}{BEFORE_PACK_ID}{id}"),
                kind,
                contributors: life.contributors(rule as u64, kind, day(date)),
            })
            .collect()
    }

    /// Whether a rule of a source may have a name. The pack's id at its end tells, and no rule has to be made for that.
    pub(crate) fn may_have(&self, source: &RuleSource, name: &str, date: SnapshotDate) -> bool {
        let Some(deployed) = source.pack else { return true };
        name.rsplit_once(BEFORE_PACK_ID).is_some_and(|(_, id)| id.chars().eq(self.pack_id(source, deployed, date)))
    }

    /// What the names of a pack's rules end in: another one in each account and region, after each re-creation of the pack, and when it
    /// comes back after a removal. It is not in the pack's name: no answer joins the two.
    fn pack_id(&self, source: &RuleSource, (pack, state): (u16, PackState), date: SnapshotDate) -> [char; 9] {
        let life = self.life(source.account, source.region.into(), pack.into());
        letters(&[
            self.spec.seed,
            61,
            source.account.into(),
            source.region.into(),
            pack.into(),
            state.recreation.into(),
            life.last_removal(day(date)).unwrap_or_default(),
        ])
    }

    /// The rules of no pack.
    fn own_rules(&self, source: &RuleSource, date: SnapshotDate) -> impl Iterator<Item = Rule> {
        self.own_lives(source, date).map(move |(own, life, kind)| Rule {
            name: life.own_name(own),
            kind,
            contributors: life.contributors(0, kind, day(date)),
        })
    }

    /// The rules of no pack that an account and region has, without their names.
    fn own_lives(
        &self,
        source: &RuleSource,
        date: SnapshotDate,
    ) -> impl Iterator<Item = (&'static OwnRule, Life, Kind)> {
        let life = |rule: u64| self.life(source.account, source.region.into(), OWN_LIVES + rule);
        let lives = OWN_RULES.iter().zip((0..).map(life));
        lives.filter(|(_, life)| life.has_own_rule()).map(move |(own, life)| (own, life, life.kind(day(date))))
    }
}

impl PackState {
    /// How many of its rules have a compliance type.
    pub(crate) fn rules(&self, kind: Kind) -> u16 {
        match kind {
            Kind::Compliant => self.compliant,
            Kind::NonCompliant => self.non_compliant,
            Kind::InsufficientData => self.total - self.compliant - self.non_compliant,
        }
    }
}

impl Life {
    /// The compliance type of each rule of a pack: the weakest are noncompliant, the strongest have insufficient data.
    fn rule_kinds(self, state: &PackState) -> Vec<Kind> {
        let total = usize::from(state.total);
        let mut weakest_first: Vec<usize> = (0..total).collect();
        weakest_first.sort_by_cached_key(|rule| self.strength(*rule as u64));
        let mut kinds = vec![Kind::Compliant; total];
        for rule in &weakest_first[..state.non_compliant.into()] {
            kinds[*rule] = Kind::NonCompliant;
        }
        for rule in weakest_first.iter().rev().take(state.rules(Kind::InsufficientData).into()) {
            kinds[*rule] = Kind::InsufficientData;
        }
        kinds
    }

    /// How late a rule is among those of its pack to fail. One half is the same everywhere, so that some rules fail in many
    /// accounts; the other differs by account and region. It is the same on every day.
    fn strength(self, rule: u64) -> u64 {
        chance(&[self.seed, 62, self.pack, rule]) % 1_000 + self.number(63, rule) % 1_000
    }

    /// Whether an account and region has a rule of no pack: each has about half of them.
    fn has_own_rule(self) -> bool {
        self.number(64, 0).is_multiple_of(2)
    }

    /// The name of a rule of no pack.
    fn own_name(self, own: &OwnRule) -> String {
        match own {
            OwnRule::Named(name) => (*name).to_owned(),
            OwnRule::OfOrganization(name) => {
                let ending = letters::<8>(&[self.seed, 69, self.account, self.region, self.pack]);
                format!("OrgConfigRule-{name}-{}", String::from_iter(ending))
            }
            OwnRule::OfSecurityHub(name) => format!("securityhub-{name}-{:08x}", self.number(70, 0) as u32),
        }
    }

    /// How many resources are why a rule is compliant or noncompliant: up to 240 for one rule in eight, and up to 12 for the others. Of
    /// the compliant rules one third counts them, one third says 0, and one third says nothing.
    fn contributors(self, rule: u64, kind: Kind, day: u64) -> Option<u16> {
        let max = if self.number(65, rule).is_multiple_of(8) { 240 } else { 12 };
        match kind {
            Kind::InsufficientData => None,
            Kind::Compliant => match self.number(68, rule) % 3 {
                0 => None,
                1 => Some(0),
                _ => Some(1 + (self.number(66, rule) % max) as u16),
            },
            Kind::NonCompliant => Some(1 + (chance(&[self.number(67, rule), day / 9]) % max) as u16),
        }
    }
}

#[cfg(test)]
mod tests;
