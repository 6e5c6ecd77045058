# What runs when, and for how long: as in ../kubernetes, and a test holds the two together.

locals {
  # `retries` and `final_exit_codes` are those of the state machine: EventBridge Scheduler tries again what could not be started,
  # and knows nothing of how it ended.
  jobs = {
    run = {
      # Compline has one snapshot per UTC day, so it runs well after midnight, and early enough to be tried again.
      schedule = "cron(15 2 * * ? *)"
      command  = ["run", "/etc/compline/pipeline.toml", "--wait", "30m"]
      # Longer than fetch.run_deadline_secs and --wait together.
      deadline_secs = 43200
      retries       = 3
      # 2 wrong usage or settings, 4 a day is held until a person decides, 5 another run has held the lease all the while.
      final_exit_codes = [2, 4, 5]
    }
    maintain = {
      schedule         = "cron(15 14 ? * SUN *)"
      command          = ["maintain", "/etc/compline/pipeline.toml", "--apply", "--wait", "2h"]
      deadline_secs    = 21600
      retries          = 1
      final_exit_codes = [2, 5]
    }
    verify = {
      schedule      = "cron(15 16 ? * SUN *)"
      command       = ["verify", "/etc/compline/pipeline.toml"]
      deadline_secs = 21600
      retries       = 1
      # 1 problems were found.
      final_exit_codes = [1, 2]
    }
  }

  on_fargate   = var.fargate == null ? {} : { fargate = var.fargate }
  fargate_jobs = var.fargate == null ? {} : local.jobs
}

resource "aws_scheduler_schedule_group" "compline" {
  for_each = local.on_fargate
  name     = var.name
}

resource "aws_scheduler_schedule" "compline" {
  for_each = local.fargate_jobs

  name                         = "${var.name}-${each.key}"
  group_name                   = aws_scheduler_schedule_group.compline["fargate"].name
  schedule_expression          = each.value.schedule
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.compline[each.key].arn
    role_arn = aws_iam_role.scheduler["fargate"].arn

    # A start that is late is still of the day that it was meant for.
    retry_policy {
      maximum_event_age_in_seconds = 21600
      maximum_retry_attempts       = 185
    }

    dynamic "dead_letter_config" {
      for_each = var.fargate.dead_letter_queue_arn == null ? [] : [var.fargate.dead_letter_queue_arn]

      content {
        arn = dead_letter_config.value
      }
    }
  }
}

resource "aws_iam_role" "scheduler" {
  for_each = local.on_fargate

  name                 = "${var.name}-scheduler"
  description          = "EventBridge Scheduler, which starts the state machines of Compline."
  assume_role_policy   = module.iam.service_trust["scheduler"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "scheduler" {
  for_each = local.on_fargate

  name = "start"
  role = aws_iam_role.scheduler["fargate"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "StartTheStateMachines"
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = [for machine in aws_sfn_state_machine.compline : machine.arn]
      }],
      each.value.dead_letter_queue_arn == null ? [] : [{
        Sid      = "TellWhatCouldNotBeStarted"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = [each.value.dead_letter_queue_arn]
      }],
    )
  })
}

resource "aws_sfn_state_machine" "compline" {
  for_each = local.fargate_jobs

  name     = "${var.name}-${each.key}"
  role_arn = aws_iam_role.states["fargate"].arn
  definition = templatefile("${path.module}/state-machine.json.tftpl", {
    partition           = local.partition
    cluster_arn         = local.cluster_arn
    task_definition_arn = aws_ecs_task_definition.compline["fargate"].arn
    subnet_ids          = var.fargate.subnet_ids
    security_group_ids  = var.fargate.security_group_ids
    assign_public_ip    = var.fargate.assign_public_ip
    command             = each.value.command
    deadline_secs       = each.value.deadline_secs
    retries             = each.value.retries
    final_exit_codes    = each.value.final_exit_codes
  })

  # It is tried with the role when it is made.
  depends_on = [aws_iam_role_policy.states]
}

resource "aws_iam_role" "states" {
  for_each = local.on_fargate

  name                 = "${var.name}-states"
  description          = "Step Functions, which runs the tasks of Compline."
  assume_role_policy   = module.iam.service_trust["states"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "states" {
  for_each = local.on_fargate

  name = "run-tasks"
  role = aws_iam_role.states["fargate"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "RunTheTask"
        Effect = "Allow"
        Action = "ecs:RunTask"
        # Any revision: an execution that waits to try again has the one that it began with.
        Resource  = ["${aws_ecs_task_definition.compline["fargate"].arn_without_revision}:*"]
        Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } }
      },
      {
        Sid      = "WatchAndStopTheTask"
        Effect   = "Allow"
        Action   = ["ecs:DescribeTasks", "ecs:StopTask"]
        Resource = ["${replace(local.cluster_arn, ":cluster/", ":task/")}/*"]
      },
      {
        # The rule by which Step Functions learns that a task has ended.
        Sid      = "HearOfTheTask"
        Effect   = "Allow"
        Action   = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
        Resource = ["arn:${local.partition}:events:${local.region}:${local.account_id}:rule/StepFunctionsGetEventsForECSTaskRule"]
      },
      {
        Sid       = "GiveTheTaskItsRoles"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = [aws_iam_role.compline["ecs"].arn, aws_iam_role.execution["fargate"].arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ]
  })
}
