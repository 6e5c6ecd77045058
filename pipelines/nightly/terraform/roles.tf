# Who may be Compline, and what Compline may do.

module "iam" {
  source = "./iam"

  name                 = var.name
  partition            = local.partition
  region               = local.region
  account_id           = local.account_id
  bucket               = var.bucket
  prefix               = var.prefix
  kms_key_arn          = var.kms_key_arn
  database             = var.database
  aggregator_arns      = var.aggregator_arns
  aggregator_role_arns = var.aggregator_role_arns
  name_accounts        = var.name_accounts
  sns_topic_arns       = var.sns_topic_arns
  event_bus_arns       = var.event_bus_arns
  irsa                 = var.irsa
  pod_identity         = var.pod_identity
  ecs                  = var.fargate != null
}

resource "aws_iam_policy" "compline" {
  name        = var.name
  description = "All that Compline may do."
  policy      = module.iam.policy
}

resource "aws_iam_role" "compline" {
  for_each = module.iam.trust

  name                 = "${var.name}-${each.key}"
  description          = "Compline, where it runs by ${each.key}."
  assume_role_policy   = each.value
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy_attachment" "compline" {
  for_each = aws_iam_role.compline

  role       = each.value.name
  policy_arn = aws_iam_policy.compline.arn
}

resource "aws_eks_pod_identity_association" "compline" {
  for_each = try(var.pod_identity.associate, false) ? { compline = var.pod_identity } : {}

  cluster_name    = each.value.cluster_name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.compline["pod-identity"].arn
}
