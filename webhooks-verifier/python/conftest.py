"""Lets the tests run from a checkout, beside other test folders, without installing the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))
