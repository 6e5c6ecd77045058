# The task that Fargate runs. Compline's image has no shell, so that a container before it writes the pipeline file, which the task
# definition has with it: `terraform apply` after a change of the file is all, and the task needs no right for it.

locals {
  # ECS takes a task definition of 64 KiB.
  pipeline_file = try(base64gzip(file(var.fargate.pipeline_file)), "")

  cluster_arn = var.fargate == null ? null : coalesce(var.fargate.cluster_arn, one([for cluster in aws_ecs_cluster.compline : cluster.arn]))

  # The repositories of Amazon ECR that an image comes from; others ask for no right.
  repository_arns = distinct([
    for parts in flatten([
      for image in try([var.fargate.image, var.fargate.init_image], []) : [
        for found in regexall("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com[.a-z]*/([^:@]+)", image) : { found = found }
      ]
    ]) : "arn:${local.partition}:ecr:${parts.found[1]}:${parts.found[0]}:repository/${parts.found[2]}"
  ])

  hardened = {
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
  }
}

resource "aws_ecs_cluster" "compline" {
  for_each = try(var.fargate.cluster_arn, "") == null ? local.on_fargate : {}
  name     = var.name
}

resource "aws_cloudwatch_log_group" "compline" {
  for_each = local.on_fargate

  name              = "/compline/${var.name}"
  retention_in_days = each.value.log_days
  kms_key_id        = each.value.log_kms_key_arn
}

resource "aws_ecs_task_definition" "compline" {
  for_each = local.on_fargate

  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  # A night of 530,000 packs takes 482 MB with its trends.
  memory             = 1024
  task_role_arn      = aws_iam_role.compline["ecs"].arn
  execution_role_arn = aws_iam_role.execution["fargate"].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = each.value.architecture
  }

  volume {
    name = "pipeline"
  }

  container_definitions = jsonencode([
    merge(local.hardened, {
      name      = "pipeline"
      image     = each.value.init_image
      essential = false
      # The volume belongs to root.
      user        = "0"
      entryPoint  = ["sh", "-c"]
      command     = ["printf %s \"$PIPELINE_FILE\" | base64 -d | gunzip > /etc/compline/pipeline.toml"]
      environment = [{ name = "PIPELINE_FILE", value = local.pipeline_file }]
      mountPoints = [{ sourceVolume = "pipeline", containerPath = "/etc/compline", readOnly = false }]
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.compline[each.key].name
          awslogs-region        = local.region
          awslogs-stream-prefix = "pipeline"
        }
      }
    }),
    merge(local.hardened, {
      name        = "compline"
      image       = each.value.image
      essential   = true
      user        = "65532:65532"
      command     = local.jobs.run.command
      environment = [for name, value in merge({ COMPLINE_LOG_FORMAT = "json" }, each.value.environment) : { name = name, value = value }]
      secrets     = [for name, arn in each.value.secrets : { name = name, valueFrom = arn }]
      mountPoints = [{ sourceVolume = "pipeline", containerPath = "/etc/compline", readOnly = true }]
      dependsOn   = [{ containerName = "pipeline", condition = "SUCCESS" }]
      # A run that is stopped releases its lease within seconds.
      stopTimeout = 30
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.compline[each.key].name
          awslogs-region        = local.region
          awslogs-stream-prefix = "compline"
        }
      }
    }),
  ])

  lifecycle {
    precondition {
      condition     = can(regex("(?m)^[^#\n]*[\"']${replace(local.lake, ".", "\\.")}/?[\"']", file(each.value.pipeline_file)))
      error_message = "lake.url in ${each.value.pipeline_file} is not ${local.lake}: the role would be for another lake. Set bucket and prefix to those of the file, or the other way round."
    }

    precondition {
      condition     = length(local.pipeline_file) <= 49152
      error_message = "${each.value.pipeline_file} is too large for a task definition of ECS: copy it into an image of your own, and run that by the role of the output role_arns."
    }
  }
}

resource "aws_iam_role" "execution" {
  for_each = local.on_fargate

  name                 = "${var.name}-execution"
  description          = "ECS, which pulls the images of Compline and writes its log."
  assume_role_policy   = module.iam.service_trust["ecs-tasks"]
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.on_fargate

  name = "pull-and-log"
  role = aws_iam_role.execution[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "WriteTheLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.compline[each.key].arn}:*"]
      }],
      [
        for service, action in { secretsmanager = "secretsmanager:GetSecretValue", ssm = "ssm:GetParameters" } : {
          Sid                                   = service == "ssm" ? "ReadTheParameters" : "ReadTheSecrets"
          Effect                                = "Allow"
          Action                                = [action]
          Resource                              = [for arn in values(each.value.secrets) : arn if split(":", arn)[2] == service]
        } if anytrue([for arn in values(each.value.secrets) : split(":", arn)[2] == service])
      ],
      length(local.repository_arns) == 0 ? [] : [
        {
          Sid      = "PullTheImages"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = local.repository_arns
        },
        {
          # It has no resource level.
          Sid      = "LogInToTheRegistry"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
      ],
    )
  })
}
