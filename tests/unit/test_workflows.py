"""The GitHub workflows: what cannot be run here is at least well formed, asks for no more than it needs, and calls what is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
TARGET = re.compile(r"\bmake ((?:-\S+ )*)([a-z][a-z-]*)")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})")
MAKEFILE_TARGETS = re.compile(r"^\.PHONY: (.+)$", re.MULTILINE)
RIGHTS = {"read", "write", "none"}


def load(file: Path) -> dict[Any, Any]:
    workflow: dict[Any, Any] = yaml.safe_load(file.read_text("utf-8"))
    return workflow


def jobs_of(file: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = load(file)["jobs"]
    return jobs


def steps_of(file: Path) -> Iterator[dict[str, Any]]:
    for job in jobs_of(file).values():
        yield from job.get("steps", [])


def targets() -> set[str]:
    return {
        name
        for line in MAKEFILE_TARGETS.findall((ROOT / "Makefile").read_text("utf-8"))
        for name in line.split()
    }


def called(text: str) -> set[str]:
    return {target for _, target in TARGET.findall(text)}


def permissions_of(file: Path, job: dict[str, Any]) -> dict[str, str]:
    permissions: dict[str, str] = job.get("permissions", load(file)["permissions"])
    return permissions


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_each_says_when_it_runs_what_it_may_do_and_with_what_it_must_not_overlap(file: Path) -> None:
    workflow = load(file)
    # YAML 1.1 reads the key `on` as true.
    assert workflow[True]
    assert workflow["permissions"] == {"contents": "read"}, "more is given to single jobs"
    assert set(workflow["concurrency"]) == {"group", "cancel-in-progress"}


def test_each_job_has_named_rights_and_an_end(file: Path) -> None:
    for name, job in jobs_of(file).items():
        permissions = permissions_of(file, job)
        assert set(permissions.values()) <= RIGHTS, name
        assert permissions["contents"] == "read", name
        if "uses" not in job:
            assert 0 < job["timeout-minutes"] <= 180, name


def test_a_deployment_is_never_cut_off_by_the_next() -> None:
    assert load(ROOT / ".github/workflows/deploy.yml")["concurrency"]["cancel-in-progress"] is False


def test_actions_are_pinned_at_least_by_major_version(file: Path) -> None:
    used = [step["uses"] for step in steps_of(file) if "uses" in step]
    assert used
    for action in used:
        assert PINNED.fullmatch(action), action


def test_called_workflows_are_there_and_get_what_they_require(file: Path) -> None:
    for job in jobs_of(file).values():
        if "uses" in job:
            assert job["uses"].startswith("./")
            inputs = load(ROOT / job["uses"])[True]["workflow_call"]["inputs"]
            required = {name for name, each in inputs.items() if each.get("required")}
            assert required <= set(job["with"]) <= set(inputs)


def test_every_make_target_that_is_called_exists(file: Path) -> None:
    assert called("\n".join(step.get("run", "") for step in steps_of(file))) <= targets()


def test_the_targets_of_deployment_are_called_where_they_should_be() -> None:
    runs = {file.stem: called("\n".join(step.get("run", "") for step in steps_of(file))) for file in FILES}
    assert runs["preview"] == {"preview-dev"}
    assert runs["deploy"] == {"up-dev", "up-prod"}
    assert runs["fuzz"] == {"fuzz-deployed"}
    assert {"preview-dev", "preview-prod", "up-dev", "up-prod", "destroy-dev", "bundle", "cost"} <= targets()


def test_a_target_that_does_not_exist_would_be_seen() -> None:
    assert called("make no-such-target && make --no-print-directory check") == {"no-such-target", "check"}
    assert "no-such-target" not in targets()


def test_aws_is_reached_by_identity_and_by_no_stored_key(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not re.search(r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)|secrets\.", text)
    for name, job in jobs_of(file).items():
        reaches_aws = any(
            "configure-aws-credentials" in step.get("uses", "") for step in job.get("steps", [])
        )
        identified = permissions_of(file, job).get("id-token") == "write"
        assert identified == (reaches_aws or "uses" in job), name


def test_whoever_takes_the_deployment_role_does_so_in_an_environment(file: Path) -> None:
    for name, job in jobs_of(file).items():
        takes = [step.get("with", {}).get("role-to-assume", "") for step in job.get("steps", [])]
        if any("DEPLOY_ROLE" in role for role in takes):
            assert job["environment"] in {"dev", "production"}, name


def test_prod_waits_for_the_fuzzed_dev_and_for_approval() -> None:
    jobs = jobs_of(ROOT / ".github/workflows/deploy.yml")
    assert (jobs["fuzz"]["needs"], jobs["prod"]["needs"]) == ("dev", "fuzz")
    (approved,) = [name for name, job in jobs.items() if "up-prod" in str(job.get("steps"))]
    assert jobs[approved]["environment"] == "production"


def test_no_text_of_others_is_put_into_a_script(file: Path) -> None:
    """A title or branch name in `run` would be run: what is not the repository's own goes through the environment."""
    for step in steps_of(file):
        assert "${{" not in step.get("run", ""), step


def test_a_made_up_template_function_would_not_load() -> None:
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.load("a: !Made up", _Template)


class _Template(yaml.SafeLoader):
    """CloudFormation's short forms, as what they hold."""


for _form in ("Ref", "Sub", "GetAtt", "If", "Equals", "Not"):
    _Template.add_constructor(
        f"!{_form}",
        lambda loader, node: (
            loader.construct_scalar(node)
            if isinstance(node, yaml.ScalarNode)
            else loader.construct_sequence(node, deep=True)  # type: ignore[arg-type]
        ),
    )


def test_the_bootstrap_template_trusts_this_repository_only_and_keeps_the_state() -> None:
    template = yaml.load((ROOT / "stacks/bootstrap/template.yaml").read_text("utf-8"), _Template)
    resources = template["Resources"]
    for role in ("PreviewRole", "DeployRole"):
        (statement,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        condition = statement["Condition"]["StringEquals"]
        assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
        assert "repo:${Repository}:" in str(condition["token.actions.githubusercontent.com:sub"])
        assert "StringLike" not in statement["Condition"], "a wildcard would let other branches in"
    assert resources["PreviewRole"]["Properties"]["ManagedPolicyArns"][0].endswith("/ReadOnlyAccess")
    for kept in ("State", "Secrets"):
        assert resources[kept]["DeletionPolicy"] == "Retain"
    assert set(resources["State"]["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert set(template["Outputs"]) == {"BackendUrl", "SecretsProvider", "PreviewRoleArn", "DeployRoleArn"}
