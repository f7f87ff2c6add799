"""Each function's role grants what that function does, on what it does it to, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

from tests.infra.template.conftest import FUNCTIONS, QUEUES, Resources, of_type, references, target_of

STAR_ALLOWED = {
    "WriteTraces": "X-Ray has no resources to name",
    "ListStreams": "the action has no resources to name, and Lambda's check of a stream's mapping asks for it",
}


def statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in of_type(resources, "AWS::IAM::Role", "AWS::IAM::ManagedPolicy").items():
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for document in documents:
            for statement in document["Statement"]:
                yield from ((name, one) for one in either(statement))


def either(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statement, or all that a condition chooses from."""
    if "Fn::If" in statement:
        for one in statement["Fn::If"][1:]:
            yield from either(one)
    elif statement != {"Ref": "AWS::NoValue"}:
        yield statement


def test_a_role_belongs_to_one_function_and_has_no_managed_policy(resources: Resources) -> None:
    for name in FUNCTIONS:
        assert target_of(resources[name]["Properties"]["Role"]) == f"{name}Role"
        assert "ManagedPolicyArns" not in resources[f"{name}Role"]["Properties"]


def test_no_statement_names_every_resource_or_every_action(resources: Resources) -> None:
    found = list(statements(resources))
    assert len(found) > 20
    for role, statement in found:
        sid = statement.get("Sid", role)
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], sid
        assert (statement["Resource"] == "*") == (sid in STAR_ALLOWED), sid


def test_a_statement_is_about_one_service_and_one_kind_of_resource(resources: Resources) -> None:
    for _, statement in statements(resources):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert len({action.split(":")[0] for action in actions}) == 1, statement["Sid"]
        if isinstance(statement["Resource"], list):
            kinds = {resources[target]["Type"] for target in references(statement["Resource"])}
            assert len(kinds) == 1, statement["Sid"]


def test_partiql_names_the_tasks_table_and_nothing_else(resources: Resources) -> None:
    """The engine authorizes PartiQL by another action (gaps.py), so that nothing else would notice a wrong table."""
    partiql = [
        (role, statement)
        for role, statement in statements(resources)
        if any(action.startswith("dynamodb:PartiQL") for action in statement["Action"])
    ]
    writers = set(FUNCTIONS) - {"CleanerFunction"}
    assert {role for role, _ in partiql} == {f"{name}Role" for name in writers}
    for _, statement in partiql:
        assert statement["Resource"] == {"Fn::GetAtt": ["TasksTable", "Arn"]}


def test_mail_leaves_from_the_worker_and_from_its_sender_only(resources: Resources) -> None:
    """The engine knows no identities in its policies (gaps.py), so that nothing else would notice."""
    [(role, statement)] = [found for found in statements(resources) if "ses:SendEmail" in found[1]["Action"]]
    assert role == "WorkerFunctionRole"
    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailSender"}}}
    assert statement["Resource"]["Fn::Sub"].endswith(":identity/*")
    variables = resources["WorkerFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["TASKLANE_MAIL_SENDER"] == {"Ref": "MailSender"}


def test_the_api_reads_dead_letters_and_no_lane(resources: Resources) -> None:
    readers = {
        role: {target_of(one) for one in statement["Resource"]}
        for role, statement in statements(resources)
        if "sqs:ReceiveMessage" in statement["Action"] and isinstance(statement["Resource"], list)
    }
    dead_letters = {target_of(resources[q]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]) for q in QUEUES}
    assert readers == {"ApiFunctionRole": dead_letters, "WorkerFunctionRole": set(QUEUES) - {"CallbackQueue"}}
