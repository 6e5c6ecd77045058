# The bucket of the lake: nothing in it is lost by a mistake, nothing in it is public, and it does not grow by what nobody reads.

locals {
  made_bucket = var.create_bucket ? { lake = var.bucket } : {}
}

resource "aws_s3_bucket" "lake" {
  for_each = local.made_bucket
  bucket   = each.value
}

# A damaged file is restored from its version before.
resource "aws_s3_bucket_versioning" "lake" {
  for_each = aws_s3_bucket.lake
  bucket   = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  for_each = aws_s3_bucket.lake
  bucket   = each.value.id

  rule {
    # Asks KMS far less often.
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  for_each = aws_s3_bucket.lake
  bucket   = each.value.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  for_each = aws_s3_bucket.lake
  bucket   = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "lake" {
  for_each = aws_s3_bucket.lake
  bucket   = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "DenyWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.value.arn, "${each.value.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 refuses two changes of a bucket's access at once.
  depends_on = [aws_s3_bucket_public_access_block.lake]
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  for_each = aws_s3_bucket.lake
  bucket   = each.value.id

  # A lease that is renewed makes 180 versions an hour, and none is of use once it is replaced.
  rule {
    id     = "leases"
    status = "Enabled"

    filter {
      prefix = "${var.prefix}/_compline/lease/"
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  dynamic "rule" {
    for_each = var.raw_days == null ? [] : [var.raw_days]

    content {
      id     = "raw-pages"
      status = "Enabled"

      filter {
        prefix = "${var.prefix}/_compline/raw/"
      }

      expiration {
        days = rule.value
      }
    }
  }

  # Checkpoints, journals and replaced partitions leave a version behind every time.
  dynamic "rule" {
    for_each = var.noncurrent_days == null ? [] : [var.noncurrent_days]

    content {
      id     = "replaced-versions"
      status = "Enabled"

      filter {
        prefix = "${var.prefix}/"
      }

      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }
    }
  }

  rule {
    id     = "unfinished-uploads-and-lone-delete-markers"
    status = "Enabled"

    filter {
      prefix = "${var.prefix}/"
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  depends_on = [aws_s3_bucket_versioning.lake]
}

resource "aws_glue_catalog_database" "lake" {
  for_each = var.create_database && var.database != null ? { lake = var.database } : {}

  name        = each.value
  description = "Compliance of AWS Config conformance packs: tables of Compline, in ${local.lake}."
}
