"""Every published trigger once more, on the deployed sandbox."""

import pytest

from tests.e2e import test_test_cards as embedded
from tests.e2e.infra.homes import once_more

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

published = embedded.published
globals().update(once_more(embedded, but={}))
