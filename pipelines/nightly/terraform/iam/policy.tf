# What Compline may do, of this lake: the statements of ../../iam-policy.json with resources of one's own. Which actions they have
# is said there alone, and a test holds that file to the calls of the code.
# This makes nothing and needs no provider, so that `terraform apply` here prints the policies.

locals {
  statements = jsondecode(file("${path.module}/../../iam-policy.json")).Statement

  lake_arn = "arn:${var.partition}:s3:::${var.bucket}"
  glue_arn = "arn:${var.partition}:glue:${var.region}:${var.account_id}"

  # By Sid: the resources, without which the statement is left out, and the condition that is the example's own there.
  own = {
    ListTheAggregators = {
      # It has no resource level.
      resources = ["*"]
      condition = null
    }
    AskTheAggregators = {
      # Those of another account are asked by its role.
      resources = length(var.aggregator_arns) > 0 ? var.aggregator_arns : ["arn:${var.partition}:config:*:${var.account_id}:config-aggregator/*"]
      condition = null
    }
    AssumeTheRolesOfAggregators = {
      resources = var.aggregator_role_arns
      condition = null
    }
    ReadAndWriteTheLake = {
      resources = ["${local.lake_arn}/${var.prefix}/*"]
      condition = null
    }
    ListTheLake = {
      resources = [local.lake_arn]
      condition = { StringLike = { "s3:prefix" = "${var.prefix}/*" } }
    }
    FindUploadsThatNobodyFinished = {
      resources = [local.lake_arn]
      condition = null
    }
    UseTheKeyOfTheLake = {
      resources = var.kms_key_arn == null ? [] : [var.kms_key_arn]
      condition = null
    }
    UpdateTheCatalog = {
      resources = var.database == null ? [] : [
        "${local.glue_arn}:catalog",
        "${local.glue_arn}:database/${var.database}",
        "${local.glue_arn}:table/${var.database}/*",
      ]
      condition = null
    }
    NameTheAccounts = {
      # It has no resource level.
      resources = var.name_accounts ? ["*"] : []
      condition = null
    }
    TellThroughSns = {
      resources = var.sns_topic_arns
      condition = null
    }
    TellThroughEventBridge = {
      resources = var.event_bus_arns
      condition = null
    }
  }

  sids    = [for statement in local.statements : statement.Sid]
  unknown = setsubtract(local.sids, keys(local.own))
  missing = setsubtract([for sid, own in local.own : sid if length(own.resources) > 0], local.sids)
}

output "policy" {
  description = "All that Compline may do."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in local.statements : {
        for key, value in merge(statement, {
          Resource  = local.own[statement.Sid].resources
          Condition = local.own[statement.Sid].condition
        }) : key => value if value != null
      } if try(length(local.own[statement.Sid].resources) > 0, false)
    ]
  })

  precondition {
    condition     = length(local.unknown) == 0
    error_message = "iam-policy.json has statements whose resources this module does not know: ${join(", ", local.unknown)}. Add them to iam/policy.tf."
  }

  precondition {
    condition     = length(local.missing) == 0
    error_message = "iam-policy.json has no statement of the name ${join(", ", local.missing)}: take the file and this module from one release."
  }
}
