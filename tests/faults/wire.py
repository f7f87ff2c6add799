"""Requests and answers of the AWS protocols, as far as the proxy has to understand them to break them."""

import http.client
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.local import target

BATCHES: Final = {
    "SendMessageBatch": "Entries",
    "DeleteMessageBatch": "Entries",
    "BatchExecuteStatement": "Statements",
}
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "content-length"})
_JSON: Final = "application/x-amz-json-1.0"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """An HTTP request, whole; ``operation`` is the AWS operation that it asks for."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        wanted = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        return wanted or f"{self.method.capitalize()}Object"

    @property
    def service(self) -> str:
        return "sqs" if "AmazonSQS" in self.headers.get("X-Amz-Target", "") else "dynamodb"

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, upstream: http.client.HTTPConnection) -> Answer:
        """Ask the engine. Headers stay as they were signed, the Host too."""
        upstream.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP:
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(len(self.body)))
        upstream.endheaders(self.body)
        response = upstream.getresponse()
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP}
        return Answer(status=response.status, headers=headers, body=response.read())

    def with_body(self, content: Any) -> "Request":
        """The same request with another body, signed anew."""
        kept = ("Host", "X-Amz-Target", "Content-Type")
        body = json.dumps(content).encode()
        headers = {name: value for name, value in self.headers.items() if name in kept}
        request = AWSRequest(self.method, f"http://{headers['Host']}{self.path}", headers, body)
        credentials = Credentials(target.ACCOUNT_KEY, target.ACCOUNT_KEY)
        SigV4Auth(credentials, self.service, target.REGION).add_auth(request)
        return replace(self, headers=dict(request.headers.items()), body=body)


def error_answer(request: Request) -> Answer:
    """What a service answers that is broken itself."""
    return _error(request, 500, "InternalServerError", "InternalError")


def throttled_answer(request: Request) -> Answer:
    """What a service answers that is asked too much."""
    names = {"dynamodb": "ProvisionedThroughputExceededException", "sqs": "ThrottlingException"}
    return _error(request, 400, names[request.service], "SlowDown")


def _error(request: Request, status: int, name: str, s3_name: str) -> Answer:
    if request.operation.endswith("Object"):
        body = f"<Error><Code>{s3_name}</Code><Message>broken by the test</Message></Error>"
        return Answer(status=503, headers={"Content-Type": "application/xml"}, body=body.encode())
    body = json.dumps({"__type": name, "message": "broken by the test"})
    return Answer(status=status, headers={"Content-Type": _JSON}, body=body.encode())


Forward = Callable[[Request], Answer]


def send_partly(request: Request, dice: random.Random, forward: Forward) -> Answer:
    """Refuse some entries of a batch, at least one; about half of the refused are taken all the same."""
    field = BATCHES[request.operation]
    content = request.json
    entries: list[Any] = content[field]
    refused = {i for i in range(len(entries)) if dice.random() < 0.5} or {dice.randrange(len(entries))}
    kept = [i for i in range(len(entries)) if i not in refused or dice.random() < 0.5]
    if not kept:
        return error_answer(request)
    answer = forward(request.with_body({**content, field: [entries[i] for i in kept]}))
    if answer.status != 200:
        return answer
    merge = _merge_statements if field == "Statements" else _merge_entries
    body = json.dumps(merge(json.loads(answer.body), entries, kept, refused)).encode()
    return Answer(status=200, headers={"Content-Type": _JSON}, body=body)


def _merge_statements(answer: Any, entries: Sequence[Any], kept: Sequence[int], refused: set[int]) -> Any:
    given = dict(zip(kept, answer["Responses"], strict=True))
    broken = {"Error": {"Code": "ThrottlingError", "Message": "broken by the test"}}
    return {"Responses": [broken if i in refused else given[i] for i in range(len(entries))]}


def _merge_entries(answer: Any, entries: Sequence[Any], kept: Sequence[int], refused: set[int]) -> Any:
    names = {entries[i]["Id"] for i in refused}
    broken = [{"Id": name, "SenderFault": False, "Code": "InternalError"} for name in sorted(names)]
    taken = [one for one in answer.get("Successful", ()) if one["Id"] not in names]
    return {"Successful": taken, "Failed": [*answer.get("Failed", ()), *broken]}


def repeated(answer: Answer, dice: random.Random) -> Answer:
    """Received messages, some of them twice, in another order; at most ten, as SQS promises."""
    content = json.loads(answer.body)
    messages = content.get("Messages") or []
    if answer.status != 200 or not messages:
        return answer
    again = dice.sample(messages, min(len(messages), 10 - len(messages)))
    content["Messages"] = dice.sample([*messages, *again], len(messages) + len(again))
    return replace(answer, body=json.dumps(content).encode())


def written_ids(request: Request) -> list[tuple[str, str]]:
    """Table and task id of each task that a write touches; what the control table keeps is none."""
    content = request.json
    if request.operation in ("PutItem", "UpdateItem"):
        item = content.get("Item") or content["Key"]
        return [(content["TableName"], item["task_id"]["S"])] if "task_id" in item else []
    if request.operation == "TransactWriteItems":
        updates = [one["Update"] for one in content["TransactItems"]]
        return [(one["TableName"], one["Key"]["task_id"]["S"]) for one in updates if "task_id" in one["Key"]]
    return [_statement_id(one["Statement"], one["Parameters"]) for one in content["Statements"]]


def _statement_id(statement: str, parameters: Sequence[Any]) -> tuple[str, str]:
    table = re.search(r'(?:UPDATE|INTO) "([^"]+)"', statement)
    before, found, _ = statement.partition('"task_id" = ?')
    if not found:
        before, found, _ = statement.partition("'task_id': ?")
    if table is None or not found:
        raise ValueError(f"a statement the proxy does not know: {statement}")
    return table[1], parameters[before.count("?")]["S"]
