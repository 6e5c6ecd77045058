variable "name" {
  description = "Prefix of what is named: roles, the policy, schedules, the cluster, alarms."
  type        = string
  default     = "compline"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.name))
    error_message = "The name is a lower-case letter, then up to 31 lower-case letters, digits and hyphens."
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of every role."
  type        = string
  default     = null
}

# The lake.

variable "bucket" {
  description = "Bucket of the lake."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "The bucket is a bucket's name alone: no s3://, no prefix."
  }
}

variable "create_bucket" {
  description = "False for a bucket that is there already: its encryption, policy and lifecycle are then left alone."
  type        = bool
  default     = true
}

variable "prefix" {
  description = "Prefix of the lake in the bucket: the pipeline file's lake.url is s3://BUCKET/PREFIX."
  type        = string
  default     = "compline"

  validation {
    # In a policy * and ? would be patterns, and so would $.
    condition     = can(regex("^[^/*?$\\s][^*?$\\s]*[^/*?$\\s]$|^[^/*?$\\s]$", var.prefix))
    error_message = "The prefix has at least one letter, no slash at either end, and no *, ?, $ or blanks."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the lake, with which the bucket encrypts. Without it the bucket encrypts with AES256."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "The key is given by the ARN of the key itself: an alias cannot be the resource of a policy."
  }
}

variable "raw_days" {
  description = "Days after which pages that [archive] raw = true keeps are expired. Without it they stay, or [maintain] raw_days removes them."
  type        = number
  default     = null

  validation {
    condition     = var.raw_days == null || try(var.raw_days >= 1 && floor(var.raw_days) == var.raw_days, false)
    error_message = "raw_days is a whole number of days, 1 or more."
  }
}

variable "noncurrent_days" {
  description = "Days that a replaced or removed version of an object can be restored, leases aside. Null keeps every version."
  type        = number
  default     = 365

  validation {
    condition     = var.noncurrent_days == null || try(var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days, false)
    error_message = "noncurrent_days is a whole number of days, 1 or more."
  }
}

# The catalog.

variable "database" {
  description = "Glue database of the pipeline file's [catalog]. Null if it has none."
  type        = string
  default     = "compline"

  validation {
    condition     = var.database == null || can(regex("^[a-z0-9_]+$", var.database))
    error_message = "The database is lower-case letters, digits and underscores."
  }
}

variable "create_database" {
  description = "False for a database that is there already."
  type        = bool
  default     = true
}

# What else Compline may reach.

variable "aggregator_arns" {
  description = "Aggregators that are asked without a role_arn. None is every aggregator of this account, in any region."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.aggregator_arns : can(regex("^arn:[^:]+:config:[^:*]+:[0-9]{12}:config-aggregator/[^*?$]+$", arn))])
    error_message = "Each is the ARN of one aggregator, which ends in its id and not its name: `aws configservice describe-configuration-aggregators` says it."
  }
}

variable "aggregator_role_arns" {
  description = "Each role_arn of the pipeline file's aggregators."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.aggregator_role_arns : can(regex("^arn:[^:]+:iam::[0-9]{12}:role/[^*?$]+$", arn))])
    error_message = "Each is the ARN of one role, without patterns."
  }
}

variable "name_accounts" {
  description = "Whether the pipeline file has account_names = \"organizations\" under [report]."
  type        = bool
  default     = false
}

variable "sns_topic_arns" {
  description = "SNS topics that the pipeline file has Compline publish to."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.sns_topic_arns : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:*?$]+$", arn))])
    error_message = "Each is the ARN of one SNS topic, without patterns."
  }
}

variable "event_bus_arns" {
  description = "EventBridge event buses that the pipeline file has Compline put events on."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.event_bus_arns : can(regex("^arn:[^:]+:events:[^:]+:[0-9]{12}:event-bus/[^*?$]+$", arn))])
    error_message = "Each is the ARN of one event bus, without patterns."
  }
}

# Where it runs. Each that is given gets a role of its own.

variable "irsa" {
  description = "IAM role for the service account of an EKS cluster, by its OIDC provider."
  type = object({
    oidc_provider_arn = string
    namespace         = optional(string, "compline")
    service_account   = optional(string, "compline")
  })
  default = null

  validation {
    condition     = var.irsa == null || can(regex("^arn:[^:]+:iam::[0-9]{12}:oidc-provider/.+$", var.irsa.oidc_provider_arn))
    error_message = "oidc_provider_arn is the ARN of an IAM OIDC provider: arn:aws:iam::ACCOUNT:oidc-provider/ISSUER."
  }
}

variable "pod_identity" {
  description = "Role for EKS Pod Identity. With associate = false somebody else makes the association."
  type = object({
    cluster_name    = string
    namespace       = optional(string, "compline")
    service_account = optional(string, "compline")
    associate       = optional(bool, true)
  })
  default = null
}

variable "fargate" {
  description = "Has Compline run on Fargate: EventBridge Scheduler starts a state machine per command, which runs the task."
  type = object({
    # Of Compline: its entry point is the program.
    image              = string
    pipeline_file      = string
    subnet_ids         = list(string)
    security_group_ids = list(string)
    assign_public_ip   = optional(bool, false)
    # Writes the pipeline file to where Compline reads it: any image with sh, base64 and gunzip.
    init_image            = optional(string, "public.ecr.aws/docker/library/busybox:1.37")
    architecture          = optional(string, "X86_64")
    cluster_arn           = optional(string)
    log_days              = optional(number, 90)
    log_kms_key_arn       = optional(string)
    dead_letter_queue_arn = optional(string)
    # Variables of the program, such as OTEL_EXPORTER_OTLP_ENDPOINT.
    environment = optional(map(string), {})
    # The same by the ARN of a secret of Secrets Manager or a parameter of Systems Manager, such as COMPLINE_WEBHOOK_URL.
    secrets = optional(map(string), {})
  })
  default = null

  validation {
    condition     = var.fargate == null || try(alltrue([for arn in values(var.fargate.secrets) : can(regex("^arn:[a-z-]+:(secretsmanager|ssm):", arn))]), false)
    error_message = "fargate.secrets has the ARN of a secret of Secrets Manager or of a parameter of Systems Manager by the name of each variable."
  }

  validation {
    condition     = var.fargate == null || try(fileexists(var.fargate.pipeline_file), false)
    error_message = "fargate.pipeline_file is no file: give its path, such as \"${path.module}/pipeline.toml\" in your own module."
  }

  validation {
    condition     = var.fargate == null || try(length(var.fargate.subnet_ids) > 0 && length(var.fargate.security_group_ids) > 0, false)
    error_message = "Fargate needs a subnet and a security group or more: without one it would take the VPC's own."
  }

  validation {
    condition     = var.fargate == null || try(contains(["X86_64", "ARM64"], var.fargate.architecture), false)
    error_message = "architecture is X86_64 or ARM64."
  }
}

# Who is told.

variable "alarms" {
  description = "CloudWatch alarms on the metrics of the pipeline file's [metrics] emf_namespace, and on failed commands where Fargate runs them. Those of `rules` are the aggregators that collect rules as well."
  type = object({
    aggregators = list(string)
    rules       = optional(list(string), [])
    namespace   = optional(string, "Compline")
    hours       = optional(number, 28)
    topic_arns  = optional(list(string), [])
  })
  default = null

  validation {
    condition     = alltrue([for id in try(concat(var.alarms.aggregators, var.alarms.rules), []) : can(regex("^[a-z0-9][a-z0-9_-]*$", id))])
    error_message = "Each of alarms.aggregators and alarms.rules is the id of an aggregator in the pipeline file."
  }

  validation {
    # A night begins 24 hours after the last; CloudWatch looks back seven days at most.
    condition     = var.alarms == null || try(var.alarms.hours >= 25 && var.alarms.hours <= 168 && floor(var.alarms.hours) == var.alarms.hours, false)
    error_message = "alarms.hours is a whole number of hours, 25 to 168."
  }
}
