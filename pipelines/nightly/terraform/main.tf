data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  account_id = data.aws_caller_identity.here.account_id
  partition  = data.aws_partition.here.partition
  region     = data.aws_region.here.region
  lake       = "s3://${var.bucket}/${var.prefix}"
}
