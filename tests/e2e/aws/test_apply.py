"""The engine that applies programs to the emulator: nothing in a program is passed over in silence.

Programs of two lines, with mappings that create nothing: no emulator is needed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from tests.e2e.infra.aws import apply as engine
from tests.e2e.infra.aws.apply import Create, Deployment, apply
from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs, InputsFailed
from tests.e2e.infra.aws.invokes import policy_document
from tests.e2e.infra.aws.rest_api_document import DocumentFailed, require_known

PARAMETER = "aws:ssm/parameter:Parameter"
TOPIC = "aws:sns/topic:Topic"

Run = Callable[..., Deployment]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Apply a program with these mappings."""

    def run(program: Callable[[], None], mappings: Mapping[str, Create], **config: str) -> Deployment:
        monkeypatch.setattr(engine, "mappings", lambda: mappings)
        cloud = Cloud("http://127.0.0.1:9")
        return apply(program, cloud, project="tiny", stack="test", config=config)

    return run


def put_parameter(_cloud: Cloud, inputs: Inputs) -> Created:
    inputs.pick(value="Value", type="Type")
    return Created("p", {"name": "p", "arn": "arn:p"})


def test_what_a_mapping_answers_is_what_the_program_is_told(run: Run) -> None:
    def program() -> None:
        pulumi.export("arn", aws.ssm.Parameter("greeting", type="String", value="hello").arn)

    deployment = run(program, {PARAMETER: put_parameter})
    assert deployment.outputs == {"arn": "arn:p"}
    (parameter,) = deployment.of_type(PARAMETER)
    assert (parameter.name, parameter.id, dict(parameter.inputs)) == (
        "greeting",
        "p",
        {"type": "String", "value": "hello"},
    )


def test_a_type_that_nothing_creates_fails_by_name(run: Run) -> None:
    with pytest.raises(InputsFailed, match=PARAMETER):
        run(lambda: aws.ssm.Parameter("greeting", type="String", value="hello"), {})


def test_an_input_that_no_mapping_reads_fails_by_name(run: Run) -> None:
    with pytest.raises(InputsFailed, match="does not read tier"):
        run(
            lambda: aws.ssm.Parameter("greeting", type="String", value="hello", tier="Advanced"),
            {PARAMETER: put_parameter},
        )


def test_a_member_of_a_block_that_no_mapping_reads_fails_by_its_path() -> None:
    inputs = Inputs("type", "name", {"block": {"read": 1, "not": 2}, "list": [{"neither": 3}]})
    block = inputs.block("block")
    assert block is not None
    assert block["read"] == 1
    inputs.blocks("list")
    assert inputs.unread() == ["block.not", "list[0].neither"]


def test_an_input_that_is_set_aside_is_told_with_its_reason() -> None:
    inputs = Inputs("type", "name", {"colour": "red"})
    inputs.set_aside("nothing is painted", "colour", "size")
    assert inputs.unread() == []
    assert inputs.all_asides() == {"colour": "nothing is painted"}


def test_an_output_that_a_mapping_does_not_give_fails_where_it_is_used(run: Run) -> None:
    def program() -> None:
        topic = aws.sns.Topic("news")
        aws.ssm.Parameter("address", type="String", value=topic.arn)

    def create_topic(_cloud: Cloud, _inputs: Inputs) -> Created:
        return Created("news")

    with pytest.raises(InputsFailed, match="address is given what nobody set: value: <not an output: arn"):
        run(program, {TOPIC: create_topic, PARAMETER: put_parameter})


def test_an_output_that_a_mapping_does_not_give_fails_where_it_is_exported(run: Run) -> None:
    def program() -> None:
        pulumi.export("where", [aws.sns.Topic("news").owner])

    with pytest.raises(InputsFailed, match=r"exports what nobody set: where\[0\]"):
        run(program, {TOPIC: lambda _cloud, _inputs: Created("news", {"arn": "arn:news"})})


def test_secrets_and_whole_numbers_arrive_as_they_were_given(run: Run) -> None:
    seen: dict[str, Any] = {}

    def create_queue(_cloud: Cloud, inputs: Inputs) -> Created:
        seen.update(inputs.pick(delaySeconds="delay", policy="policy"))
        return Created("q", {"url": "http://q", "arn": "arn:q", "name": "q"})

    run(
        lambda: aws.sqs.Queue("jobs", delay_seconds=60, policy=pulumi.Output.secret("{}")),
        {"aws:sqs/queue:Queue": create_queue},
    )
    assert seen == {"delay": 60, "policy": "{}"}
    assert type(seen["delay"]) is int


def test_configuration_reaches_the_program(run: Run) -> None:
    def program() -> None:
        pulumi.export("colour", pulumi.Config().require("colour"))

    assert run(program, {}, **{"tiny:colour": "red"}).outputs == {"colour": "red"}


def test_two_programs_one_after_the_other_know_nothing_of_each_other(run: Run) -> None:
    assert run(lambda: pulumi.export("one", 1), {}).outputs == {"one": 1}
    assert run(lambda: pulumi.export("two", 2), {}).outputs == {"two": 2}


def test_a_resource_without_a_name_is_given_one_as_pulumi_does() -> None:
    name = Inputs("type", "queue", {}).physical_name()
    assert name.startswith("queue-")
    assert name != "queue-"
    assert Inputs("type", "queue", {"name": "jobs"}).physical_name() == "jobs"


def test_an_extension_of_a_document_that_is_not_translated_fails_by_name() -> None:
    require_known({"x-amazon-apigateway-integration": {}}, frozenset({"integration"}), "GET /")
    with pytest.raises(DocumentFailed, match="GET / has x-amazon-apigateway-auth"):
        require_known({"x-amazon-apigateway-auth": {}}, frozenset({"integration"}), "GET /")


def test_statements_make_a_policy() -> None:
    made = policy_document(
        {
            "statements": [
                {
                    "sid": "Read",
                    "actions": ["s3:GetObject"],
                    "resources": ["*"],
                    "principals": [{"type": "Service", "identifiers": ["cloudfront.amazonaws.com"]}],
                    "conditions": [{"test": "StringEquals", "variable": "aws:x", "values": ["y"]}],
                }
            ]
        }
    )
    assert made["Statement"] == [
        {
            "Sid": "Read",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": ["*"],
            "Principal": {"Service": ["cloudfront.amazonaws.com"]},
            "Condition": {"StringEquals": {"aws:x": ["y"]}},
        }
    ]
