"""The tests of a payment's life once more, on the deployed sandbox: through API Gateway, with what the fixtures of this
folder stand for. A test that is not run here has a reason, which the parity report repeats.
"""

from typing import Final

import pytest

from tests.e2e import test_payment_life as embedded

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("aws")]

NOT_HERE: Final[dict[str, str]] = {}

globals().update(
    {name: test for name, test in vars(embedded).items() if name.startswith("test_") and name not in NOT_HERE}
)
