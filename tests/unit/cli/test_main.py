"""How commands end: exit codes, and one sentence on stderr."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.cli import client, main
from infra.cli.signing import Signature, signature_for
from tasklane import __version__
from tests.unit.cli.conftest import Shell


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_help_names_every_command(shell: Shell) -> None:
    for words in (("--help",), ("-h",), ()):
        out = shell.ok(*words).out
        assert all(
            f"  {name}  " in out
            for name in ("submit", "get", "cancel", "retry", "show", "clear", "types", "lanes", "limits", "limits")
        )


def test_it_says_which_version_it_is(shell: Shell) -> None:
    assert shell.ok("--version").out == f"tasklane {__version__}\n"
    assert "Submit tasks, see what became of them, keep house." in shell.ok("--help").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shw"], "No such command 'shw'. Did you mean 'show'? See `tasklane --help`."),
        (["get"], "Missing argument 'ID'. See `tasklane get --help`."),
        (["show", "0"], "See `tasklane show --help`."),
        (["show", "--colour"], "No such option: --colour"),
        (["clear"], "Missing argument 'N'."),
        (["lanes"], "Missing command. See `tasklane lanes --help`."),
        (["lanes", "pause", "6"], "See `tasklane lanes pause --help`."),
    ],
)
def test_wrong_use_is_one_line_and_2(shell: Shell, words: list[str], said: str) -> None:
    assert said in shell.refused(*words, code=2)


@pytest.mark.parametrize("url", ["", "foo", "ftp://x", "http://", "http://[", "http://a b/"])
def test_what_is_no_url_is_said(shell: Shell, url: str) -> None:
    assert "no URL" in shell.refused("show", "--url", url)


def test_the_url_comes_from_the_option_or_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        called.append(str(request.url).partition("?")[0])
        return httpx.Response(200, json={"tasks": [], "next_cursor": None})

    shell.answering(answer)
    shell.ok("show")
    monkeypatch.setenv("TASKLANE_URL", "https://tasks.example.com/prod/")
    shell.ok("show")
    shell.ok("show", "--url", "http://127.0.0.1:9")

    assert called == [
        "http://127.0.0.1:8000/v1/tasks",
        "https://tasks.example.com/prod/v1/tasks",
        "http://127.0.0.1:9/v1/tasks",
    ]


def test_an_api_that_is_not_there(shell: Shell) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    shell.answering(answer)

    assert shell.refused("show").startswith("Nothing answers at http://127.0.0.1:8000 (refused): start it with")


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(200, text="<html>"), "answered 200 OK, and not as Tasklane does."),
        (httpx.Response(404, text="<html>"), "answered 404 Not Found, and not as Tasklane does."),
        (httpx.Response(403, json={"message": "Forbidden"}), "does not let you in (403)"),
        (httpx.Response(500, json={"title": "Broken", "detail": ""}), "Broken."),
        (httpx.Response(400, json={"detail": "a\x1b[1m\nb."}), "a [1m b."),
        (httpx.Response(502, json=["x"]), "answered 502 Bad Gateway"),
    ],
)
def test_an_answer_that_is_none(shell: Shell, response: httpx.Response, said: str) -> None:
    shell.answering(lambda _: response)

    assert said in shell.refused("show")


@pytest.mark.parametrize("trouble", [503, 429, "reset"])
@pytest.mark.parametrize("words", [("show",), ("submit", "echo"), ("get", "x")])
def test_a_request_that_is_safe_to_repeat_is_repeated(
    shell: Shell, impatient: list[float], trouble: object, words: tuple[str, ...]
) -> None:
    real, seen = shell.transport, list[str]()
    task_id = shell.api.submitted()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("idempotency-key", ""))
        if len(seen) > 2:
            return real.handle_request(request)
        if trouble == "reset":
            raise httpx.ReadError("reset")
        return httpx.Response(int(str(trouble)), headers={"retry-after": "2"}, json={"detail": "busy"})

    shell.answering(answer)

    shell.ok(*(task_id if word == "x" else word for word in words))

    assert len(seen) == 3
    assert len(set(seen)) == 1, "the same key, so that it stays one task"
    assert impatient == ([2, 2] if trouble != "reset" else [0.25, 0.5])


def test_an_api_that_is_busy_for_long_is_given_up(shell: Shell, impatient: list[float]) -> None:
    shell.answering(lambda _: httpx.Response(503, json={"detail": "It refused or was too slow."}))

    assert shell.refused("show") == "It refused or was too slow."
    assert len(impatient) == client.TRIES - 1


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_a_change_whose_answer_got_lost_is_not_repeated(shell: Shell, impatient: list[float], command: str) -> None:
    """Its repetition would be refused: "cancelled already"."""
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ReadTimeout("timed out")

    shell.answering(answer)

    assert shell.refused(command, "x").endswith(f"did not answer POST /v1/tasks/x/{command}: timed out.")
    assert (len(seen), impatient) == (1, [])


def test_ctrl_c_is_130_and_one_word(shell: Shell) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    shell.answering(answer)

    assert shell.refused("show", code=130) == "Interrupted."


NO_SPACE = "The output cannot be written: No space left on device.\n"
MANY_TYPES = """
import sys
import httpx
from infra.cli.main import main
from infra.cli.options import Given

types = [{"name": f"type {n} ü", "priority": 3, "timeout_seconds": 60, "retry": {"max_attempts": 3}, "description": ""}
         for n in range(int(sys.argv[1]))]
answer = httpx.MockTransport(lambda _: httpx.Response(200, json={"task_types": types, "pauses": []}))
sys.exit(main(["types", "list"], Given(transport=answer)))
"""


def types_list(folder: Path, rest: str, *, count: int = 10_000, **variables: str) -> subprocess.CompletedProcess[str]:
    """What becomes of `tasklane types list`, with the rest of the command line."""
    (folder / "types.py").write_text(MANY_TYPES)
    command = f"{sys.executable} {folder / 'types.py'} {count} {rest}"
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"} | variables
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """`tasklane types list | head -1`."""
    done = types_list(tmp_path, "| head -1; exit ${PIPESTATUS[0]}")

    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "TYPE", "")


@pytest.mark.parametrize(
    ("redirection", "count", "said"),
    [
        pytest.param("> /dev/full", 1, NO_SPACE, id="at the end"),
        pytest.param("> /dev/full", 10_000, NO_SPACE, id="on the way"),
        pytest.param(">&-", 1, "The standard output is closed.\n", id="nowhere"),
        pytest.param("> /dev/full 2> /dev/full", 1, "", id="nor can the error"),
    ],
)
def test_output_that_cannot_be_written_is_an_error(tmp_path: Path, redirection: str, count: int, said: str) -> None:
    done = types_list(tmp_path, redirection, count=count)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_output_that_the_terminal_has_no_letters_for_is_an_error(tmp_path: Path) -> None:
    done = types_list(tmp_path, "| cat; exit ${PIPESTATUS[0]}", PYTHONIOENCODING="ascii")

    assert done.returncode == 1
    assert done.stderr == "The output cannot be written in ascii: set PYTHONIOENCODING=utf-8.\n"


def test_help_that_cannot_be_written_is_an_error() -> None:
    command = f"{sys.executable} -m infra.cli lanes pause --help > /dev/full"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, NO_SPACE)


def test_every_command_has_json() -> None:
    groups = [main.app, *(one.typer_instance for one in main.app.registered_groups)]
    commands = [command.callback for group in groups if group for command in group.registered_commands]
    assert len(commands) > 10
    for command in commands:
        assert command is not None
        assert "as_json" in command.__annotations__, command.__name__


# -- a deployed API ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://a1b2.execute-api.eu-central-1.amazonaws.com", True),
        ("https://a1b2.execute-api.cn-north-1.amazonaws.com.cn/prod", True),
        ("http://127.0.0.1:8000", False),
        ("https://tasks.example.com", False),
        ("https://a1b2.execute-api.eu-central-1.amazonaws.com.example.com", False),
    ],
)
def test_calls_to_a_deployed_api_are_signed(url: str, signed: object) -> None:
    assert (signature_for(url) is not None) == signed


def test_without_credentials_a_deployed_api_cannot_be_called(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    said = shell.refused("show", "--url", "https://a1b2.execute-api.eu-central-1.amazonaws.com")

    assert "no AWS credentials were found" in said


def test_a_signature_covers_the_query_and_the_body() -> None:
    credentials = Credentials("key", "secret", "token")
    url = "https://a1b2.execute-api.eu-central-1.amazonaws.com/v1/tasks?label=a%3Ab%20c&limit=1"
    request = httpx.Request("POST", url, content=b'{"a": 1}', headers={"content-type": "application/json"})

    [signed] = Signature(credentials, "eu-central-1").auth_flow(request)

    headers = {name: signed.headers[name] for name in ("host", "content-type")}
    again = AWSRequest("POST", url, data=b'{"a": 1}', headers=headers)
    again.context["timestamp"] = signed.headers["x-amz-date"]
    signer = SigV4Auth(credentials, "execute-api", "eu-central-1")
    again.headers["X-Amz-Date"] = signed.headers["x-amz-date"]
    again.headers["X-Amz-Security-Token"] = "token"
    expected = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    assert signed.headers["authorization"].endswith(f"Signature={expected}")
    assert "content-type;host;x-amz-date;x-amz-security-token" in signed.headers["authorization"]
