"""Settlement once more, on the deployed sandbox; `test_workers.py` has the state machine."""

from typing import Final

import pytest

from tests.e2e import test_settlement as embedded
from tests.e2e.infra.homes import once_more

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final = {
    "test_ten_thousand_payments_are_settled_by_one_advance_in_seconds": (
        "it writes ten thousand payments past HTTP, into the embedded home's file"
    ),
}

globals().update(once_more(embedded, but=NOT_HERE))
