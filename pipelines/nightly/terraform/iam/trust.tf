# Who may be Compline, and who may be what runs it.

locals {
  oidc_issuer = try(split("oidc-provider/", var.irsa.oidc_provider_arn)[1], null)

  # A service of AWS that acts for another account is refused.
  of_this_account = {
    ecs-tasks = {
      StringEquals = { "aws:SourceAccount" = var.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${var.partition}:ecs:${var.region}:${var.account_id}:*" }
    }
    states = {
      StringEquals = { "aws:SourceAccount" = var.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${var.partition}:states:${var.region}:${var.account_id}:stateMachine:${var.name}-*" }
    }
    scheduler = {
      StringEquals = {
        "aws:SourceAccount" = var.account_id
        "aws:SourceArn"     = "arn:${var.partition}:scheduler:${var.region}:${var.account_id}:schedule-group/${var.name}"
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
              "aws:RequestTag/eks-cluster-arn"            = "arn:${var.partition}:eks:${var.region}:${var.account_id}:cluster/${var.pod_identity.cluster_name}"
              "aws:RequestTag/kubernetes-namespace"       = var.pod_identity.namespace
              "aws:RequestTag/kubernetes-service-account" = var.pod_identity.service_account
            }
          }
        }]
      })
    },
    var.ecs ? { ecs = local.service_trust["ecs-tasks"] } : {},
  )
}

output "trust" {
  description = "Trust policies of Compline's roles, by where it runs."
  value       = local.trust
}

output "service_trust" {
  description = "Trust policies of the services that run it: ecs-tasks, states, scheduler."
  value       = local.service_trust
}
