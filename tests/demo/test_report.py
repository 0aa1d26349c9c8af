"""The report: one file that asks for no other, with everything escaped and every number in it."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from atacsearch.demo import palette
from atacsearch.demo.outcome import Example, Experiment, Method, Outcome, Source, Stage
from atacsearch.demo.plots import scatter
from atacsearch.demo.report import label_colours, write_report
from atacsearch.demo.scores import score

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects addresses and text, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outcome(kinds: tuple[str, ...]) -> Outcome:
    rng = np.random.default_rng(0)
    true = [kinds[i] for i in rng.integers(0, len(kinds), 60)]
    calls = [t if r < 0.8 else kinds[0] for t, r in zip(true, rng.random(60), strict=True)]
    ours = score(true, calls, ["unknown" if r < 0.1 else "assigned" for r in rng.random(60)])
    theirs = score(true, true)
    marks = label_colours(ours)
    xy = rng.random((60, 2)).astype(np.float32)
    picture = scatter("Query", "by type", xy, true, np.ones(60, bool), marks, size_px=120)
    experiment = Experiment(
        key="first",
        title="First <data> & more",
        lead="What was done.",
        split="Half and half.",
        facts=(("cells", "60"),),
        notes=("2 lines skipped: <chr1>",),
        methods=(
            Method("atacsearch", "reference alone", ours, True),
            Method("baseline", "reference alone", theirs, False),
        ),
        panels=(picture,),
        examples=(Example("Which?", "atacsearch search cells x", ("rank", "id"), (("1", "a<b"),), "See."),),
    )
    return Outcome(
        created="2026-01-01 00:00 UTC",
        machine="2 cores",
        versions=(("atacsearch", "0.1.0"),),
        experiments=(experiment,),
        stages=(Stage("first", "train", 61.2, "atacsearch train <x>"), Stage("first", "draw", 0.5)),
        sources=(Source("cells", "package==1.0", "MIT", "ab" * 32, "Somebody et al."),),
        seconds=75.0,
    )


@pytest.fixture
def page(tmp_path: Path) -> Page:
    path = write_report(outcome(("B", "NK", "<script>alert(1)</script>")), tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    parser = Page()
    parser.feed(path.read_text("utf-8"))
    return parser


def test_self_contained(page: Page) -> None:
    assert page.addresses
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_well_formed_and_escaped(page: Page) -> None:
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text
    assert "First <data> & more" in page.text
    assert "a<b" in page.text


def test_shows_what_was_found(page: Page) -> None:
    for expected in ("accuracy", "macro-F1", "1.000", "Half and half.", "1 min 15 s", "Somebody", "MIT"):
        assert expected in page.text
    assert "not assigned" in page.text
    assert "2 lines skipped: <chr1>" in page.text
    assert "2025.11.03.685753" in page.text


def test_pictures_are_png(page: Page) -> None:
    picture = next(a for a in page.addresses if a.startswith("data:image/png"))
    assert base64.b64decode(picture.partition(",")[2]).startswith(b"\x89PNG")


def test_many_long_labels(tmp_path: Path) -> None:
    kinds = tuple(f"a cell type with a long name {i}" for i in range(20))
    text = write_report(outcome(kinds), tmp_path / "report.html").read_text("utf-8")
    assert "matrix tilt" in text
    parser = Page()
    parser.feed(text)
    assert parser.open == []


def test_colours_do_not_depend_on_the_picture() -> None:
    assert palette.colours(["B", "NK", "B"]) == palette.colours(["B", "NK"])
    assert len(set(palette.COLOURS)) == len(palette.COLOURS)
    assert not set(palette.SIDES.values()) & set(palette.COLOURS)


def test_names_do_not_lie_on_each_other() -> None:
    xy = np.random.default_rng(0).normal(0.5, 0.01, (30, 2)).astype(np.float32)
    kinds = ["CD4 memory T", "CD4 naive T", "CD8 naive T"] * 10
    picture = scatter("t", "n", xy, kinds, np.ones(30, bool), palette.colours(kinds), size_px=120)
    tops = sorted(top for _, _, top in picture.names)
    assert len(tops) == 3
    assert min(np.diff(tops)) > 3
