"""Near spellings: what is offered, what is not, and that messages about unknown names carry them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from atacsearch.cli.root import run_in_process
from atacsearch.errors import InputError
from atacsearch.genome.assemblies import get_assembly
from atacsearch.genome.datasets import fetch
from atacsearch.model.config import sized_config
from atacsearch.spelling import did_you_mean, nearest
from atacsearch.store.types import Column, check_kind
from atacsearch.tokens.universe import Universe


@pytest.mark.parametrize(
    ("written", "known", "expected"),
    [
        ("celltype", ["donor", "cell_type"], ["cell_type"]),
        ("CELL-TYPE", ["donor", "cell_type"], ["cell_type"]),
        ("tisseu", ["tissue", "donor"], ["tissue"]),
        ("cell", ["cell_type", "donor"], ["cell_type"]),
        ("Microgla", ["Astrocyte", "Microglia"], ["Microglia"]),
        ("GAPDHH", ["GAPDH", "ACTB", "GAPDHS"], ["GAPDH", "GAPDHS"]),
        ("query.h5ad", ["GAPDH", "ACTB"], []),
        ("--", ["a", "b"], []),
        ("anything", [], []),
    ],
)
def test_nearest(written: str, known: list[str], expected: list[str]) -> None:
    assert nearest(written, known) == expected


def test_at_most_n_and_the_same_order_each_time() -> None:
    known = [f"sample{i}" for i in range(9)]
    assert nearest("sample", known) == known[:3]
    assert nearest("sample", [*known, *known], n=2) == known[:2]


def test_the_end_of_a_message() -> None:
    assert did_you_mean("x", ["donor"]) == ""
    assert did_you_mean("doner", ["donor"]) == "; did you mean 'donor'?"
    assert did_you_mean("CD5", ["CD4", "CD8", "B"]) == "; did you mean 'CD4' or 'CD8'?"
    assert did_you_mean("CD5", ["CD4", "CD8", "CD3"]) == "; did you mean 'CD4', 'CD8' or 'CD3'?"


def test_messages_about_unknown_names_carry_it() -> None:
    from atacsearch.store.metadata.where import bind_where, parse_where

    column = Column("cell_type", "text", "string", 3, indexed=True)
    for meant, call in (
        ("hg38", lambda: get_assembly("hg83")),
        ("cells", lambda: check_kind("cell")),
        ("small", lambda: sized_config("smal", 10)),
        ("forebrain", lambda: fetch("forbrain")),
        ("epiagent-ccre-hg38", lambda: Universe.from_name("epiagent-hg38")),
        ("cell_type", lambda: bind_where(parse_where(["celltype=B"]), {"cell_type": column}, "cells")),
    ):
        with pytest.raises(InputError, match=re.escape(f"did you mean '{meant}'")):
            call()


def test_commands_of_the_table_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_process(["serch"]) == 2
    assert "No such command 'serch'. Did you mean 'search'?" in capsys.readouterr().err


def test_nothing_is_loaded_before_a_name_is_wrong() -> None:
    code = "import sys, atacsearch.spelling; print('rapidfuzz' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
