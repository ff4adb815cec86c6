"""What all tests of the Pulumi program need: an event loop, as Pulumi's test double runs in the test's own thread."""

import pytest

from tests.stacks.policy_recording import set_event_loop


@pytest.fixture(autouse=True)
def pulumis_event_loop() -> None:
    """Set before each test: another may have taken it away."""
    set_event_loop()
