"""Where the benchmarks find their data and leave their results."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # the checkout
PAGES = ROOT / "docs" / "results"  # one page a question
RECORDS = PAGES / "records"  # what the pages are made of: JSON, and pictures


def shared_data() -> Path:
    """The folder of benchmark data: `ATACSEARCH_DATA`, else `shared/data` beside the checkout."""
    named = os.environ.get("ATACSEARCH_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"
