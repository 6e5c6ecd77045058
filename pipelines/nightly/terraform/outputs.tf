output "lake_url" {
  description = "The pipeline file's lake.url."
  value       = local.lake
}

output "bucket_arn" {
  description = "Bucket of the lake."
  value       = "arn:${local.partition}:s3:::${var.bucket}"
}

output "policy_arn" {
  description = "All that Compline may do, for a role of your own."
  value       = aws_iam_policy.compline.arn
}

output "role_arns" {
  description = "Roles by where Compline runs: irsa (the annotation eks.amazonaws.com/role-arn of the service account), pod-identity, ecs."
  value       = { for way, role in aws_iam_role.compline : way => role.arn }
}

output "state_machine_arns" {
  description = "State machines on Fargate by command: `aws stepfunctions start-execution --state-machine-arn ARN` runs one now."
  value       = { for command, machine in aws_sfn_state_machine.compline : command => machine.arn }
}

output "log_group" {
  description = "Log group of the tasks; null without Fargate."
  value       = one([for group in aws_cloudwatch_log_group.compline : group.name])
}
