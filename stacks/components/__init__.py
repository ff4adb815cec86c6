"""The parts of a stack, one ComponentResource per module. None of them reads configuration: see `stacks/settings.py`."""
