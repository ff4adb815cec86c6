"""The messages of the card networks once more, on the deployed sandbox."""

import pytest

from tests.e2e import test_network_messages as embedded
from tests.e2e.infra.homes import once_more

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

globals().update(once_more(embedded, but={}))
