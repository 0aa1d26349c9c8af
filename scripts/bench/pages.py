"""Write the pages of docs/results that hold nothing but what was measured, from their records. Runs no benchmark.

    python scripts/bench/pages.py

`quality.md`, `ablation.md`, `tried.md` and `README.md` are written by hand and stay as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder of `bench`

from bench.common.paths import PAGES, RECORDS
from bench.regions import liftover, overlap_page, retrieval_page
from bench.speed import report
from bench.training import views
from bench.trust import calibration_page, query_quality_page

# Page to the record it is made of, and to what makes it.
WRITERS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "calibration.md": ("calibration.json", calibration_page.page),
    "liftover.md": ("liftover.json", liftover.page),
    "overlap.md": ("overlap.json", overlap_page.page),
    "query-quality.md": ("query_quality.json", query_quality_page.page),
    "retrieval.md": ("retrieval.json", retrieval_page.page),
    "views.md": ("views.json", views.page),
}


def pages() -> dict[str, str]:
    """Name of each page and its text."""
    texts = {
        name: write(json.loads((RECORDS / record).read_text())) for name, (record, write) in WRITERS.items()
    }
    return {**texts, "benchmarks.md": report.page(report.read_records(RECORDS))}


def main() -> None:
    """Write all pages, and the table of README.md."""
    for name, text in pages().items():
        (PAGES / name).write_text(text)
    report.write_readme(report.read_records(RECORDS))


if __name__ == "__main__":
    main()
