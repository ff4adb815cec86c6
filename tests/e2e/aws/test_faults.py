"""Faults on demand once more, on the deployed sandbox."""

from typing import Final

import pytest

from tests.e2e import test_faults as embedded
from tests.e2e.infra.homes import once_more

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final = {
    "test_a_payment_whose_response_was_lost_is_found_again_under_its_key": (
        "behind API Gateway no connection can be cut"
    ),
    "test_a_capture_is_not_made_twice_although_its_response_was_lost": (
        "behind API Gateway no connection can be cut"
    ),
    "test_a_dropped_connection_leaves_nothing": ("behind API Gateway no connection can be cut"),
    "test_a_cut_connection_ends_without_a_byte": ("behind API Gateway no connection can be cut"),
    "test_the_server_logs_no_error_when_it_cuts_a_connection": ("it reads the embedded home's log"),
}

globals().update(once_more(embedded, but=NOT_HERE))
