"""Runs one function of the built package as Lambda does: the real runtime client under AWS's interface emulator.

The interpreter sees the package and the runtime client, and nothing of the environment that runs the tests.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import signal
import socket
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from infra import template
from infra.local.engine import free_port
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef

ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
INVOKE = "/2015-03-31/functions/function/invocations"
RUNTIME_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")


def emulator() -> Path:
    """The aws-lambda-rie binary that the AWS SAM command line carries."""
    binary = f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}"
    return next((template.ROOT / ".venv-sam").glob(binary))


def install_runtime_client(python: Path, folder: Path) -> None:
    """Put what Lambda has in /var/runtime into ``folder``, at the versions of the development lock."""
    pins = [f"{name}=={version(name)}" for name in RUNTIME_CLIENT]
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--target", folder, *pins], check=True
    )


@dataclass(frozen=True, kw_only=True)
class LambdaFunction:
    """A function that waits for events; one at a time, since two at once end the emulator."""

    port: int

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Send one event and return the answer; an error that the runtime reports fails the test."""
        result = self.invoke_whatever_comes(event)
        assert not (isinstance(result, dict) and "errorMessage" in result), result
        return result

    def invoke_whatever_comes(self, event: Mapping[str, Any]) -> Any:
        """Send one event and return the answer, also where the runtime reports an error."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", INVOKE, json.dumps(event))
            body = connection.getresponse().read()
        return json.loads(body or b"null")


@contextlib.contextmanager
def running(
    configuration: FunctionConfigurationResponseTypeDef,
    *,
    package: Path,
    python: Path,
    client: Path,
    credentials: Mapping[str, str],
    log: Path,
) -> Iterator[LambdaFunction]:
    """Start a deployed function's handler, with the deployed function's own variables, from ``package``."""
    port, runtime_port = free_port(), free_port()
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": f"{package}{os.pathsep}{client}",
        "PYTHONDONTWRITEBYTECODE": "1",  # the code folder is read-only in Lambda
        "AWS_LAMBDA_FUNCTION_NAME": configuration["FunctionName"],
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(configuration["Timeout"]),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration["MemorySize"]),
        **configuration["Environment"]["Variables"],
        **credentials,
    }
    command: list[str | Path] = [
        emulator(),
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{port}",
        "--runtime-api-address",
        f"127.0.0.1:{runtime_port}",
        # -S and -P: neither site-packages nor the working directory, only PYTHONPATH.
        *(python, "-S", "-P", "-m", "awslambdaric", configuration["Handler"]),
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _listens(port))
        yield LambdaFunction(port=port)
    except BaseException:
        print(log.read_text())
        raise
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
