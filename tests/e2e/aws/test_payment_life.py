"""The tests of a payment's life once more, through API Gateway: `conftest.py` says what the fixtures stand for here."""

from typing import Final

import pytest

from tests.e2e import test_payment_life as embedded
from tests.e2e.infra.aws.certificates import DOMAIN
from tests.e2e.infra.homes import once_more

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

GATEWAY_COUNTS: Final = "the gateway counts requests, by rate and burst, and tells nothing of what is left"
ONLY_EMBEDDED: Final = "documents are served by the embedded home only"

NOT_HERE: Final = {
    "test_without_a_usable_key_nothing_but_the_open_operations_answers": (
        "the gateway refuses keys, and does not tell a missing one from an unknown one"
    ),
    "test_of_many_requests_at_once_a_plan_lets_through_one_hundred": GATEWAY_COUNTS,
    "test_one_accounts_limit_is_nobody_elses": GATEWAY_COUNTS,
    "test_a_callers_request_id_is_kept_when_it_is_harmless": (
        "a request that brings no id gets the gateway's, which begins otherwise"
    ),
    "test_errors_can_be_read_by_pages_of_an_allowed_origin": (
        "the gateway's own errors may be read by pages of any origin"
    ),
    "test_the_contract_is_served_in_both_forms": ONLY_EMBEDDED,
    "test_the_documentation_page_and_all_that_it_needs_come_from_the_sandbox": ONLY_EMBEDDED,
}
"""What `test_gateway.py` tests in its own way; the parity report repeats the reasons."""

globals().update(once_more(embedded, but=NOT_HERE))


@pytest.fixture(autouse=True)
def nobody_at_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that refuses connections."""
    monkeypatch.setattr(embedded, "NOBODY", f"https://nobody.{DOMAIN}:9/")
