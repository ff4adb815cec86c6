"""The kinds of records that are events.

The Pulumi program does not import the package: `python -m contracts.events.generate` writes the kinds of
`domain/entry_kinds.py` to a file, and a test compares what is committed with what would be written now.
"""

import json
from pathlib import Path
from typing import Final

EVENT_KINDS: Final = tuple(json.loads(Path(__file__).with_name("event_kinds.json").read_text("utf-8")))
