"""The repository's own files: workflows, templates, version files, and what the documents for contributors name.

GitHub runs most of them, so they cannot be run here. They are well formed, ask for no more than they need, and name only
targets and files that exist.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
TARGET = re.compile(r"\bmake ((?:-\S+ )*)([a-z][a-z-]*)")
USES = re.compile(r"\buses:[ \t]*(.+)$", re.MULTILINE)
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
MAKEFILE_TARGETS = re.compile(r"^\.PHONY: (.+)$", re.MULTILINE)
RIGHTS = {"read", "write", "none"}
DOCUMENTS = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
)
CODE = re.compile(r"```sh\n(.*?)```|`([^`\n]+)`", re.DOTALL)
PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)+/?|[\w-]+/|[\w.-]+\.(?:md|toml|yaml|yml|py|txt)|Makefile")
LINK = re.compile(r"\]\(([\w./-]+)\)")
ON_GITHUB = "../../"
"""Links that begin so lead out of the repository's files, to a page of the repository on GitHub."""
FORM_FIELDS = {"dropdown", "input", "textarea", "checkboxes"}


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


def third_party(text: str) -> list[str]:
    """What follows each `uses:` of a workflow, with its comment, except the repository's own workflows."""
    return [used.strip() for used in USES.findall(text) if not used.startswith("./")]


def unpinned(text: str) -> list[str]:
    return [used for used in third_party(text) if not PINNED.fullmatch(used)]


def test_each_action_is_pinned_by_its_commit_and_says_its_version(file: Path) -> None:
    text = file.read_text("utf-8")
    parsed = [step["uses"] for step in steps_of(file) if "uses" in step]
    assert [used.split()[0] for used in third_party(text)] == parsed != []
    assert unpinned(text) == []


@pytest.mark.parametrize(
    "used",
    [
        "actions/checkout@v5",
        "actions/checkout@main",
        "actions/checkout",
        f"actions/checkout@{'a' * 40}",
        f"actions/checkout@{'a' * 39} # v5.0.0",
        f"actions/checkout@{'a' * 40} # v5",
    ],
)
def test_an_action_that_is_not_pinned_is_seen(used: str) -> None:
    assert unpinned(f"steps:\n  - uses: {used}\n  - run: make check\n") == [used]


def test_an_action_has_the_same_pin_in_all_workflows() -> None:
    pins = {used for file in FILES for used in third_party(file.read_text("utf-8"))}
    assert len({pin.split("@")[0] for pin in pins}) == len(pins), sorted(pins)


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


def test_the_checks_run_on_each_version_of_python_that_the_package_supports() -> None:
    prefix = "Programming Language :: Python :: "
    supported = [name.removeprefix(prefix) for name in project()["classifiers"] if name.startswith(prefix)]
    job = jobs_of(ROOT / ".github/workflows/checks.yml")["check"]
    assert job["strategy"]["matrix"]["python"] == supported != []


def test_the_checks_are_one_command() -> None:
    steps = steps_of(ROOT / ".github/workflows/checks.yml")
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]


def test_what_keys_a_cache_is_a_lock_file() -> None:
    keys = [
        step["with"]["cache-dependency-path"]
        for step in steps_of(ROOT / ".github/workflows/checks.yml")
        if "cache" in step.get("with", {})
    ]
    assert keys
    assert all(list(ROOT.glob(key)) for key in keys), keys


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def test_the_version_files_name_the_oldest_versions_that_are_supported() -> None:
    python = (ROOT / ".python-version").read_text("utf-8").strip()
    node = (ROOT / ".nvmrc").read_text("utf-8").strip()
    assert project()["requires-python"] == f">={python}"
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text("utf-8")
        assert set(re.findall(r"Python (\d+\.\d+) or newer", text)) == {python}, document
        assert set(re.findall(r"Node\.js (\d+)(?:\.\d+)* or newer", text)) == {node}, document


def test_the_checks_use_the_version_file_of_node() -> None:
    (setup,) = [
        step
        for step in steps_of(ROOT / ".github/workflows/checks.yml")
        if "actions/setup-node@" in step.get("uses", "")
    ]
    assert setup["with"]["node-version-file"] == ".nvmrc"
    assert "node-version" not in setup["with"]


def lock_file_folders() -> set[tuple[str, str]]:
    """Each folder that holds lock files, as Dependabot names it: ecosystem and folder."""
    folders = {("pip", f"/{file.parent.relative_to(ROOT)}") for file in ROOT.glob("requirements/*.txt")}
    for folder, below, files in os.walk(ROOT):
        below[:] = [name for name in below if name != "node_modules" and not name.startswith(".")]
        if "package-lock.json" in files:
            folders.add(("npm", f"/{Path(folder).relative_to(ROOT)}"))
    return folders


def test_dependabot_watches_every_lock_file_and_the_actions_each_week_in_groups() -> None:
    updates = load(ROOT / ".github/dependabot.yml")["updates"]
    watched = {
        (update["package-ecosystem"], folder)
        for update in updates
        for folder in update.get("directories", [update.get("directory")])
    }
    assert watched == lock_file_folders() | {("github-actions", "/")}
    for update in updates:
        assert update["schedule"] == {"interval": "weekly"}
        assert [group["patterns"] for group in update["groups"].values()] == [["*"]]


def test_the_lock_files_of_both_ecosystems_are_found() -> None:
    assert {ecosystem for ecosystem, _ in lock_file_folders()} == {"pip", "npm"}


@pytest.mark.parametrize("form", ["bug.yml", "feature.yml"])
def test_an_issue_form_has_what_github_requires(form: str) -> None:
    """Source: GitHub's syntax for issue forms."""
    issue = load(ROOT / ".github/ISSUE_TEMPLATE" / form)
    assert set(issue) <= {"name", "description", "title", "labels", "assignees", "body"}
    assert issue["name"]
    assert issue["description"]
    fields = [element for element in issue["body"] if element["type"] != "markdown"]
    assert {field["type"] for field in fields} <= FORM_FIELDS
    assert all(field["attributes"]["label"] for field in fields)
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names) > 0


def test_an_issue_is_always_opened_by_a_form() -> None:
    assert load(ROOT / ".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}


def test_the_hooks_of_pre_commit_fetch_no_repository() -> None:
    (local,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    assert {hook["entry"].split()[0] for hook in local["hooks"]} == {".venv/bin/python", "git"}


def code_in(text: str) -> list[str]:
    """The code of a Markdown document: its shell blocks, and what stands between backticks."""
    return [block or span for block, span in CODE.findall(text)]


def files_named(text: str) -> set[str]:
    """The paths that a document names as code or links to, from the repository's root."""
    spans = {span for span in code_in(text) if PATH.fullmatch(span)}
    return spans | {link for link in LINK.findall(text) if not link.startswith(ON_GITHUB)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_only_targets_and_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert called("\n".join(code_in(text))) - targets() == set()
    assert {name for name in files_named(text) if not (ROOT / name).exists()} == set()


def test_the_guide_for_contributors_names_targets_and_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert {"run", "test", "quick", "check", "explore", "lock"} <= called("\n".join(code_in(text)))
    assert {"openapi/payments.yaml", "tests/unit/", "CHANGELOG.md", "SECURITY.md", ".ci/run"} <= files_named(
        text
    )


def test_targets_and_files_are_found_in_code_and_links_only() -> None:
    text = (
        "make sure\n```sh\nmake no-such-target X=1\n```\n`no/such/` `no.py` [a](no/such.md) `a b/c` `x_y`\n"
    )
    assert called("\n".join(code_in(text))) == {"no-such-target"}
    assert files_named(text) == {"no/such/", "no.py", "no/such.md"}


@pytest.mark.parametrize(
    ("file", "definition"),
    [
        ("openapi/payments.yaml", "operationId: capture_payment"),
        ("handlers/payments_sandbox/http/operations/payments.py", "async def capture_payment("),
        ("handlers/payments_sandbox/services/payments/payments.py", "def capture_payment("),
        ("tests/e2e/test_payment_life.py", "(shop: Client)"),
    ],
)
def test_the_guides_example_is_where_the_guide_says(file: str, definition: str) -> None:
    assert file in files_named((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert definition in (ROOT / file).read_text("utf-8")


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
