"""The SDK's clients of the run itself, made once: each costs a tenth of a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_ssm import SSMClient

    from infra.local.target import Target


@dataclass(frozen=True, kw_only=True)
class Clients:
    """A client of each service that the run deploys to or reads from."""

    apigateway: ApiGatewayV2Client
    cloudformation: CloudFormationClient
    dynamodb: DynamoDBClient
    functions: LambdaClient
    iam: IAMClient
    logs: CloudWatchLogsClient
    s3: S3Client
    ses: SESV2Client
    ssm: SSMClient


def connect(target: Target) -> Clients:
    """Make the clients; nothing is sent yet."""
    options = target.client_options
    return Clients(
        apigateway=boto3.client("apigatewayv2", **options),
        cloudformation=boto3.client("cloudformation", **options),
        dynamodb=boto3.client("dynamodb", **options),
        functions=boto3.client("lambda", **options),
        iam=boto3.client("iam", **options),
        logs=boto3.client("logs", **options),
        s3=boto3.client("s3", **options),
        ses=boto3.client("sesv2", **options),
        ssm=boto3.client("ssm", **options),
    )
