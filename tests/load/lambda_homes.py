"""How the benchmark brings up either side's Lambda handler, with or without storage."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from payments_sandbox.bootstrap import build_lambda_app
from payments_sandbox.domain.ids import identify_api_key
from payments_sandbox.domain.usage_plans import DEFAULT_PLAN
from payments_sandbox.services.ports import CommitResult, Committed, Index, Page, Position, Record, Update
from payments_sandbox.settings import LambdaSettings
from tests.load.samples import API_KEY

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

ACCOUNT = "acct_demo"


class NoStore:
    """`Store` that knows the sample's API key, accepts everything and keeps nothing."""

    def __init__(self) -> None:
        self._key = key_record()

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The API key, or nothing."""
        return [self._key if each == self._key.id else None for each in ids]

    def insert(self, record: Record) -> Record | None:
        """Forget it."""

    def commit(self, inserts: Sequence[Record], updates: Sequence[Update]) -> CommitResult:
        """Forget them."""
        return Committed()

    def page(
        self,
        index: Index,
        key: str,
        *,
        after: Position | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Page:
        """Nothing."""
        return Page([], None)

    def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to release."""


def key_record() -> Record:
    """The record of the sample's API key."""
    return Record(
        id=identify_api_key(API_KEY),
        kind="api_key",
        account_id=ACCOUNT,
        version=1,
        created_at=0,
        data={"plan": DEFAULT_PLAN, "revoked_at": None},
    )


def load_handler(side: str, storage: str) -> Handler:
    """The handler of `ours` or `fastapi`, with `none` or `dynamodb` under it.

    With `dynamodb` the process needs the environment of `lambda_path.environment_of`.
    """
    if side == "fastapi":
        handler: Handler = importlib.import_module("tests.load.fastapi_app").handler
        return handler
    if storage == "dynamodb":
        ours: Handler = importlib.import_module("payments_sandbox.entrypoints.lambda_api").handler
        return ours
    app: Any = build_lambda_app(LambdaSettings.from_environment(lambda_environment()), NoStore())
    return Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, "application/problem+json"])


def lambda_environment(*, contract: Path | None = None) -> dict[str, str]:
    """The settings of our Lambda function. contract: the prepared one; None reads the YAML.

    The comparison has no access log, so ours writes none either.
    """
    return {
        "SANDBOX_TABLE": "PaymentsLedger",
        "SANDBOX_LEDGER_SECRET": "62656e6368" * 8,
        "SANDBOX_CONTRACT": str(contract or ""),
        "SANDBOX_LOG_LEVEL": "warning",
    }
