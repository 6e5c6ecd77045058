variable "name" {
  description = "Prefix of what is named."
  type        = string
}

variable "partition" {
  description = "AWS partition: aws, aws-cn, aws-us-gov."
  type        = string
}

variable "region" {
  description = "Region of the catalog and of what runs."
  type        = string
}

variable "account_id" {
  description = "Account of the catalog and of what runs."
  type        = string
}

variable "bucket" {
  description = "Bucket of the lake."
  type        = string
}

variable "prefix" {
  description = "Prefix of the lake in the bucket."
  type        = string
}

variable "kms_key_arn" {
  description = "KMS key of the lake; null drops the statement."
  type        = string
}

variable "database" {
  description = "Glue database; null drops the statement."
  type        = string
}

variable "aggregator_arns" {
  description = "Aggregators to ask; none is every one of the account."
  type        = list(string)
}

variable "aggregator_role_arns" {
  description = "Roles to assume; none drops the statement."
  type        = list(string)
}

variable "name_accounts" {
  description = "Whether AWS Organizations is asked for the names of accounts; false drops the statement."
  type        = bool
}

variable "sns_topic_arns" {
  description = "SNS topics to publish to; none drops the statement."
  type        = list(string)
}

variable "event_bus_arns" {
  description = "Event buses to put events on; none drops the statement."
  type        = list(string)
}

variable "irsa" {
  description = "OIDC provider, namespace and service account; null makes no trust policy."
  type        = object({ oidc_provider_arn = string, namespace = string, service_account = string })
}

variable "pod_identity" {
  description = "Cluster, namespace and service account; null makes no trust policy."
  type        = object({ cluster_name = string, namespace = string, service_account = string })
}

variable "ecs" {
  description = "Whether tasks of ECS are Compline."
  type        = bool
}
