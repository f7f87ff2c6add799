"""Everything that README and docs show is run here, and answers what they show."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import botocore.session
import pytest

from infra import template
from tasklane import registry
from tasklane.signature import signed_headers
from tests.docs.conftest import ROOT, LocalRun
from tests.docs.snippets import Snippet, matches, snippets
from tests.support.builders import OLDER_SECRET, SECRET
from tests.support.installation import an_installation

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "infra" / "README.md"]
ALL = [snippet for page in PAGES if page.exists() for snippet in snippets(page)]
ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TOKEN = re.compile(r'"lease_token":\s*"(?P<token>[^"]+)"')
PICTURES = ("mermaid", "text")
KINDS = (
    "console",
    "console run",
    "console aws",
    "console demo",
    "console docker",  # run by tests/containers
    "console kubectl",
    "python",
    "python receiver",
    "json problem",
    "json callback",
    "json callback of task-execution",
    *PICTURES,
)


def of_kind(kind: str) -> list[Snippet]:
    return [snippet for snippet in ALL if snippet.info == kind]


def by_name(snippet: Snippet) -> str:
    return snippet.name


@pytest.mark.parametrize("snippet", ALL, ids=by_name)
def test_a_snippet_is_of_a_kind_that_is_run_here_or_a_picture(snippet: Snippet) -> None:
    assert snippet.info in KINDS


@pytest.mark.engine
@pytest.mark.parametrize("snippet", of_kind("console run"), ids=by_name)
def test_the_run_says_what_is_shown(snippet: Snippet, local_run: LocalRun) -> None:
    [(command, shown)] = snippet.commands()
    assert command == "make run"  # what the fixture ran
    lines = local_run.output.read_text().splitlines()
    for line in shown.splitlines():
        assert any(matches(local_run.as_run(line), said) for said in lines), lines


@pytest.mark.engine
@pytest.mark.parametrize("snippet", of_kind("console"), ids=by_name)
def test_a_command_answers_what_is_shown(snippet: Snippet, local_run: LocalRun) -> None:
    last_id, last_token = "ID", "TOKEN"
    for command, shown in snippet.commands():
        filled_in = re.sub(r"\bTOKEN\b", last_token, re.sub(r"\bID\b", last_id, local_run.as_run(command)))
        answer = _run(filled_in, TASKLANE_URL=local_run.url)
        assert matches(local_run.as_run(shown), answer), f"{command}\nanswers {answer}"
        last_id = _id_in(answer) or last_id
        last_token = found["token"] if (found := TOKEN.search(answer)) else last_token


@pytest.mark.engine
@pytest.mark.long
@pytest.mark.parametrize("snippet", of_kind("console demo"), ids=by_name)
def test_the_demo_says_what_is_shown_but_for_its_figures(snippet: Snippet) -> None:
    [(command, shown)] = snippet.commands()

    real = _run(command, seconds=600)

    def shapes(text: str) -> list[str]:
        """The lines, with each figure as a hash, and only the last of those that come now and then."""
        lines = [re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "#", line)).strip() for line in text.splitlines()]
        settled = [line for line in lines if " are final " not in line or line.endswith("are final (# completed)")]
        return [line for line in settled if line]

    assert shapes(real) == shapes(shown)


@pytest.mark.parametrize("snippet", of_kind("console aws"), ids=by_name)
def test_a_deployment_names_what_there_is(snippet: Snippet) -> None:
    """No account here: what can be checked is that targets, environments and parameters exist as they are named."""
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text())
    for command, _ in snippet.commands():
        words = shlex.split(command)
        match words[:2]:
            case ["make", target]:
                _run(f"make --dry-run {target}")
            case ["sam", "deploy"]:
                assert "deploy" in environments[words[words.index("--config-env") + 1]]
            case ["aws", "ssm"]:
                name = words[words.index("--name") + 1]
                stage = name.split("/")[2]
                overrides = environments[stage]["deploy"]["parameters"]["parameter_overrides"]
                assert any(name == place or name.startswith(f"{place}/") for place in _places(overrides))
            case ["aws", "sesv2"]:
                operation = botocore.session.get_session().get_service_model("sesv2").operation_model(_camel(words[2]))
                given = {_camel(word[2:]) for word in words if word.startswith("--")}
                assert operation.input_shape is not None
                assert operation.input_shape.required_members == [*given]
            case ["aws", "sqs"]:
                operation = botocore.session.get_session().get_service_model("sqs").operation_model(_camel(words[2]))
                assert operation.input_shape is not None
                assert {_camel(word[2:]) for word in words if word.startswith("--")} <= {*operation.input_shape.members}
                if "--queue-name-prefix" in words:
                    stack, name = words[words.index("--queue-name-prefix") + 1].rsplit("-", 1)
                    assert stack in {
                        one["global"]["parameters"]["stack_name"]
                        for one in environments.values()
                        if isinstance(one, dict)
                    }
                    assert name in template.load()["Resources"]
            case _:
                pytest.fail(f"nothing here knows how to check: {command}")


@pytest.mark.parametrize("snippet", of_kind("console kubectl"), ids=by_name)
def test_a_command_for_a_cluster_names_what_there_is(snippet: Snippet) -> None:
    """No cluster here; what the folders hold is for tests/infra/kubernetes, and for tests/cluster."""
    deployments = {path.stem for path in (ROOT / "infra" / "kubernetes" / "base").glob("*.yaml")}
    for command, _ in snippet.commands():
        words = shlex.split(command)
        if words[0] == "make":
            _run(f"make --dry-run {words[1]}")
            continue
        for word in words:
            if word.startswith("infra/"):
                assert (ROOT / word / "kustomization.yaml").is_file()
            if word.startswith("deployment/"):
                assert word.removeprefix("deployment/tasklane-") in deployments
        assert words[0] == "kubectl"


@pytest.mark.engine
@pytest.mark.parametrize("snippet", of_kind("json problem"), ids=by_name)
def test_a_problem_is_answered_as_it_is_shown(snippet: Snippet, local_run: LocalRun) -> None:
    """A request that is wrong in the way that the page shows."""
    shown = json.loads(snippet.body)
    task = json.dumps({"type": "echo", "priority": 6})
    command = f"curl -s {local_run.url}/v1/tasks -H 'Content-Type: application/json' -d {shlex.quote(task)}"
    answer = json.loads(_run(command))
    assert answer | {"correlation_id": shown["correlation_id"]} == shown


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> registry.Registry:
    fresh = registry.Registry()
    monkeypatch.setattr(registry, "task", fresh.task)
    return fresh


@pytest.fixture
def module_of(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    module = ModuleType("shown_in_the_docs")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize("snippet", of_kind("python"), ids=by_name)
def test_a_handler_that_is_shown_is_a_handler(
    snippet: Snippet, fresh_registry: registry.Registry, module_of: ModuleType
) -> None:
    exec(compile(snippet.body, str(snippet.path), "exec"), module_of.__dict__)
    assert fresh_registry.types
    for task_type in fresh_registry.types.values():
        assert task_type.description
        assert task_type.payload_adapter.json_schema()


@pytest.mark.parametrize("snippet", of_kind("python receiver"), ids=by_name)
def test_a_receiver_that_is_shown_takes_what_is_signed_and_nothing_else(
    snippet: Snippet, module_of: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    exec(compile(snippet.body, str(snippet.path), "exec"), module_of.__dict__)
    body = json.dumps({"type": "task.completed", "data": {"result": "naïve"}}, ensure_ascii=False).encode()
    now = int(time.time())
    headers = signed_headers([OLDER_SECRET, SECRET], "one", now, body)

    assert module_of.receive(headers, body) == 204
    assert module_of.receive(headers, body) == 204, "again, because the answer got lost"
    assert module_of.done == {"one": "task.completed: naïve"}

    assert module_of.receive(headers, body + b" ") == 401
    assert module_of.receive(signed_headers([OLDER_SECRET], "two", now, body), body) == 401
    assert module_of.receive(signed_headers([SECRET], "three", now - 600, body), body) == 401
    assert list(module_of.done) == ["one"]


@pytest.mark.parametrize("snippet", of_kind("json callback"), ids=by_name)
def test_a_callback_is_posted_as_it_is_shown(snippet: Snippet) -> None:
    installation = an_installation(registry=registry.load_handlers())
    installation.submit("echo", {"hello": "world"}, callback_url="https://hooks.example.com/", labels={"order": "4711"})
    installation.work()
    installation.deliver()
    installation.close()

    [(_, body, _)] = installation.http.posted
    assert matches(snippet.body, body.decode()), body


@pytest.mark.parametrize("snippet", of_kind("json callback of task-execution"), ids=by_name)
def test_the_callback_of_a_contract_is_posted_as_it_is_shown(snippet: Snippet) -> None:
    installation = an_installation(registry=registry.load_handlers())
    installation.submit(
        "simulated_job",
        {"name": "report", "parameters": {"steps": 1, "step_seconds": 0}},
        callback_url="https://hooks.example.com/",
        contract="task-execution",
    )
    installation.work()
    installation.deliver()
    installation.close()

    [(_, body, _)] = installation.http.posted
    assert matches(snippet.body, body.decode()), body


def test_the_first_screen_has_a_sentence_a_command_and_an_answer() -> None:
    first = list(snippets(ROOT / "README.md"))[:2]
    assert [snippet.info for snippet in first] == ["console run", "console"]
    end = (first[1].path.read_text().splitlines()).index("```", first[1].line)
    assert end < 24, "a terminal's first screen"


def _camel(word: str) -> str:
    return word.replace("-", " ").title().replace(" ", "")


def _places(overrides: list[str]) -> list[str]:
    chosen = dict(override.split("=", 1) for override in overrides)
    return [chosen["WebhookSecretsParameterName"], chosen["TenantWebhookSecretsPath"]]


def _run(command: str, *, seconds: float = 60, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def _id_in(answer: str) -> str | None:
    try:
        found = json.loads(answer)
    except ValueError:
        return shown[0] if (shown := ID.search(answer)) else None
    ids = [found[name] for name in ("id", "task_id") if isinstance(found, dict) and name in found]
    return str(ids[0]) if ids else None


def test_no_page_is_forgotten() -> None:
    assert set(ROOT.glob("docs/**/*.md")) <= set(PAGES), "docs/ has a folder that no snippet is read from"
