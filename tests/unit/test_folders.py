"""Where unit tests are: in the package's folders, each file named after the module that it tests."""

from pathlib import Path
from typing import Final

UNIT: Final = Path(__file__).parent
PACKAGE: Final = UNIT.parents[1] / "handlers" / "payments_sandbox"

OF_THE_REPOSITORY: Final = {"architecture", "contract", "event_schemas", "explore", "folders", "workflows"}
"""The subjects of the tests at the top that are no modules."""


def misplaced(unit: Path, package: Path) -> list[str]:
    """The test files whose folder has no module, and no package, of the first words of their name."""
    wrong = []
    for path in sorted(unit.rglob("test_*.py")):
        folder = path.relative_to(unit).parent
        subject = path.stem.removeprefix("test_")
        modules = {
            each.stem for each in (package / folder).glob("*") if each.suffix == ".py" or each.is_dir()
        }
        known = modules | (OF_THE_REPOSITORY if folder == Path() else set())
        if not any(subject == name or subject.startswith(f"{name}_") for name in known):
            wrong.append(str(path.relative_to(unit)))
    return wrong


def test_unit_tests_mirror_the_package() -> None:
    assert misplaced(UNIT, PACKAGE) == []


def test_a_misplaced_file_is_seen(tmp_path: Path) -> None:
    unit, package = tmp_path / "unit", tmp_path / "package"
    for folder in (unit / "domain", package / "domain", package / "domain" / "ids"):
        folder.mkdir(parents=True)
    (package / "domain" / "money.py").touch()
    for name in (
        "test_money.py",
        "test_money_rounding.py",
        "test_moneys.py",
        "test_ids.py",
        "test_contract.py",
    ):
        (unit / "domain" / name).touch()
    (unit / "test_contract.py").touch()
    (unit / "test_money.py").touch()
    assert misplaced(unit, package) == ["domain/test_contract.py", "domain/test_moneys.py", "test_money.py"]
