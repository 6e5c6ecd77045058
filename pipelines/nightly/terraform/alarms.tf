# Alarms on what Compline says of each run, in the embedded metric format, and on commands that failed.

locals {
  alarm_topics = var.alarms == null ? [] : var.alarms.topic_arns
  alarm_jobs   = var.alarms == null ? {} : local.fargate_jobs
  # The days of each aggregator, and those of its rules, as their metrics have them. No id has a dot in it.
  alarm_packs = { for id in toset(try(var.alarms.aggregators, [])) : id => { what = id, aggregator = id, dataset = {} } }
  alarm_rules = { for id in toset(try(var.alarms.rules, [])) : "${id}.rules" => { what = "rules of ${id}", aggregator = id, dataset = { dataset = "rules" } } }
  alarm_days  = merge(local.alarm_packs, local.alarm_rules)
}

# CloudWatch takes period times evaluation_periods up to seven days where the period is an hour or more.
resource "aws_cloudwatch_metric_alarm" "no_success" {
  for_each = local.alarm_days

  alarm_name        = "${var.name}-${each.key}-no-success"
  alarm_description = "No run of ${each.value.what} has succeeded for ${var.alarms.hours} hours: `compline status` says what there is, the log of the last run why. AWS Config only knows now: a day without a run is a gap."
  namespace         = var.alarms.namespace
  # Hours, where a run that succeeds has moments: what was committed days ago, or another day now, is no success.
  metric_name         = "compline_last_success_age_seconds"
  dimensions          = merge({ lake = local.lake, aggregator = each.value.aggregator }, each.value.dataset)
  statistic           = "Minimum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 7200
  period              = 3600
  evaluation_periods  = var.alarms.hours
  # A run that never began says nothing.
  treat_missing_data = "breaching"
  alarm_actions      = local.alarm_topics
  ok_actions         = local.alarm_topics

  lifecycle {
    precondition {
      condition = var.fargate == null ? true : can(regex(
        "(?m)^[^#\n]*emf_namespace\\s*=\\s*[\"']${var.alarms.namespace}[\"']", file(var.fargate.pipeline_file)
      ))
      error_message = "the pipeline file has no emf_namespace = \"${var.alarms.namespace}\" under [metrics]: no metric would come, and the alarm would never be OK. Add it, or leave alarms out."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "held" {
  for_each = local.alarm_days

  alarm_name          = "${var.name}-${each.key}-held"
  alarm_description   = "A day of ${each.value.what} lost much and is held: see it with `compline status`, then `compline run --accept` or `compline run --reject`."
  namespace           = var.alarms.namespace
  metric_name         = "compline_held_days"
  dimensions          = merge({ lake = local.lake, aggregator = each.value.aggregator }, each.value.dataset)
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 300
  evaluation_periods  = 1
  # There is one sample a run: what it says holds until the next.
  treat_missing_data = "ignore"
  alarm_actions      = local.alarm_topics
  ok_actions         = local.alarm_topics
}

# For verify it says that problems were found.
resource "aws_cloudwatch_metric_alarm" "failed" {
  for_each = local.alarm_jobs

  alarm_name          = "${var.name}-${each.key}-failed"
  alarm_description   = "`compline ${each.key}` failed or did not end in ${each.value.deadline_secs} seconds: the execution of the state machine has the exit code, ${aws_cloudwatch_log_group.compline["fargate"].name} the log."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_topics

  metric_query {
    id          = "failed_or_timed_out"
    label       = "Executions that failed or timed out"
    expression  = "FILL(failed, 0) + FILL(timed_out, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { failed = "ExecutionsFailed", timed_out = "ExecutionsTimedOut" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/States"
        metric_name = metric_query.value
        dimensions  = { StateMachineArn = aws_sfn_state_machine.compline[each.key].arn }
        period      = 300
        stat        = "Sum"
      }
    }
  }
}
