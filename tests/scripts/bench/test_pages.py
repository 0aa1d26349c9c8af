"""The pages of docs/results say what their records say."""

from bench import pages
from bench.common.paths import PAGES, RECORDS, ROOT
from bench.speed import report


def test_pages_are_made_of_their_records():
    written = pages.pages()
    stale = [name for name, text in written.items() if (PAGES / name).read_text() != text]
    assert not stale, f"run scripts/bench/pages.py: {stale}"


def test_the_readme_holds_the_recorded_speeds():
    assert report.headlines(report.read_records(RECORDS)) in (ROOT / "README.md").read_text()
