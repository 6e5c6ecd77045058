# Who may be Compline, and what Compline may do.

module "policy" {
  source = "./policy"

  partition            = local.partition
  region               = local.region
  account_id           = local.account_id
  bucket               = var.bucket
  prefix               = var.prefix
  kms_key_arn          = var.kms_key_arn
  database             = var.database
  aggregator_role_arns = var.aggregator_role_arns
  sns_topic_arns       = var.sns_topic_arns
  event_bus_arns       = var.event_bus_arns
}

resource "aws_iam_policy" "compline" {
  name        = var.name
  description = "All that Compline may do."
  policy      = module.policy.json
}

locals {
  oidc_issuer = try(split("oidc-provider/", var.irsa.oidc_provider_arn)[1], null)

  # A service of AWS that acts for another account is refused.
  of_this_account = {
    ecs-tasks = {
      StringEquals = { "aws:SourceAccount" = local.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account_id}:*" }
    }
    states = {
      StringEquals = { "aws:SourceAccount" = local.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${var.name}-*" }
    }
    scheduler = {
      StringEquals = {
        "aws:SourceAccount" = local.account_id
        "aws:SourceArn"     = "arn:${local.partition}:scheduler:${local.region}:${local.account_id}:schedule-group/${var.name}"
      }
    }
  }

  # By service, as JSON: the conditions differ in type.
  service_trust = {
    for service, condition in local.of_this_account : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = condition
      }]
    })
  }

  trust = merge(
    var.irsa == null ? {} : {
      irsa = jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Federated = var.irsa.oidc_provider_arn }
          Action    = "sts:AssumeRoleWithWebIdentity"
          Condition = {
            StringEquals = {
              "${local.oidc_issuer}:aud" = "sts.amazonaws.com"
              "${local.oidc_issuer}:sub" = "system:serviceaccount:${var.irsa.namespace}:${var.irsa.service_account}"
            }
          }
        }]
      })
    },
    var.pod_identity == null ? {} : {
      pod-identity = jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "pods.eks.amazonaws.com" }
          Action    = ["sts:AssumeRole", "sts:TagSession"]
          Condition = {
            StringEquals = {
              "aws:RequestTag/eks-cluster-arn"            = "arn:${local.partition}:eks:${local.region}:${local.account_id}:cluster/${var.pod_identity.cluster_name}"
              "aws:RequestTag/kubernetes-namespace"       = var.pod_identity.namespace
              "aws:RequestTag/kubernetes-service-account" = var.pod_identity.service_account
            }
          }
        }]
      })
    },
    var.fargate == null ? {} : { ecs = local.service_trust["ecs-tasks"] },
  )
}

resource "aws_iam_role" "compline" {
  for_each = local.trust

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
