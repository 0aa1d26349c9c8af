"""The command line and Python say the same: names, defaults and help of one table of options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

import click
import pytest

import atacsearch as ats
from atacsearch.api.options import EmbedOptions, TokenizeOptions, UniverseOptions
from atacsearch.cli.root import cli
from atacsearch.query.annotate.options import AnnotateOptions
from atacsearch.query.ingest.options import AddOptions, CalibrateOptions, RegionsOptions
from atacsearch.query.regions.options import CompareOptions, CompareQuery, OverlapOptions, OverlapQuery
from atacsearch.query.search.options import SearchOptions, SearchQuery
from atacsearch.readers.options import READING, ReadOptions
from atacsearch.training.recipes.options import BatchOptions, BulkOptions, CelltypeOptions, PretrainOptions

# Command, method or function, the tables that both are made of, fields of them that neither has, and what only one
# side has: Python returns tables and takes callbacks, the command line writes files and chooses a device at each call.
Case = tuple[str, Callable[..., Any], tuple[type[Any], ...], set[str]]
ONLY_PYTHON = {"self", "progress", "notify", "inplace"}
ONLY_SHELL = {"index_path", "model", "device", "output", "format", "target", "explain", "explain_bed"}
CASES: list[Case] = [
    ("search cells", ats.Index.search, (SearchQuery, SearchOptions, ReadOptions), {"kind", "contexts"}),
    ("search beds", ats.Index.search, (SearchQuery, SearchOptions, ReadOptions), {"kind", "contexts"}),
    (
        "search regions",
        ats.Index.search,
        (SearchQuery, SearchOptions, ReadOptions),
        {"kind", "rank", "statistics", "candidates", "background"},
    ),
    ("annotate", ats.Index.annotate, (AnnotateOptions, ReadOptions), set()),
    ("overlap", ats.Index.overlap, (OverlapQuery, OverlapOptions), set()),
    ("compare", ats.Index.compare, (CompareQuery, CompareOptions), set()),
    ("index add-cells", ats.Index.add_cells, (AddOptions, ReadOptions), set()),
    ("index add-beds", ats.Index.add_beds, (AddOptions, ReadOptions), set()),
    ("index add-regions", ats.Index.add_regions, (RegionsOptions,), set()),
    ("index calibrate", ats.Index.calibrate, (CalibrateOptions,), set()),
    ("tokenize", ats.tokenize, (TokenizeOptions, ReadOptions), set()),
    ("embed", ats.embed, (EmbedOptions, ReadOptions), set()),
    ("universe build", ats.build_universe, (UniverseOptions,), set()),
    ("train pretrain", ats.train.pretrain, (PretrainOptions, ReadOptions), set()),
    ("train celltype", ats.train.celltype, (CelltypeOptions, ReadOptions), set()),
    ("train batch", ats.train.batch, (BatchOptions, ReadOptions), set()),
    ("train bulk", ats.train.bulk, (BulkOptions, ReadOptions), set()),
]
IDS = [case[0] for case in CASES]


def command_of(words: str) -> click.Command:
    """The click command that a line calls."""
    found: click.Command = cli
    for word in words.split():
        assert isinstance(found, click.Group)
        got = found.get_command(click.Context(found), word)
        assert got is not None, words
        found = got
    return found


def table_of(classes: tuple[type[Any], ...]) -> dict[str, Any]:
    """Fields of options classes, by name."""
    return {f.name: f for cls in classes for f in fields(cls) if "option" in f.metadata}


@pytest.mark.parametrize(("words", "function", "classes", "left_out"), CASES, ids=IDS)
def test_names_and_defaults_are_those_of_the_table(
    words: str, function: Callable[..., Any], classes: tuple[type[Any], ...], left_out: set[str]
) -> None:
    table = table_of(classes)
    python = inspect.signature(function).parameters
    shell = {p.name: p for p in command_of(words).params if isinstance(p, click.Option)}
    for name, field in table.items():
        assert python[name].default == field.default, name
        if name in left_out:
            assert name not in shell
            continue
        context = click.Context(command_of(words))
        given = shell[name].process_value(context, shell[name].get_default(context))
        assert (given or None) == (field.default or None), name
        assert shell[name].help == field.metadata["option"].help, name


@pytest.mark.parametrize(("words", "function", "classes", "left_out"), CASES, ids=IDS)
def test_neither_side_has_options_of_its_own(
    words: str, function: Callable[..., Any], classes: tuple[type[Any], ...], left_out: set[str]
) -> None:
    python = {
        name
        for name, p in inspect.signature(function).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    shell = {
        str(p.name)
        for p in command_of(words).params
        if isinstance(p, click.Option) and p.expose_value and not p.required
    }
    assert python - ONLY_PYTHON - ONLY_SHELL - left_out - {"query"} == shell - ONLY_SHELL


@pytest.mark.parametrize(("words", "function", "classes", "left_out"), CASES, ids=IDS)
def test_every_argument_is_explained(
    words: str, function: Callable[..., Any], classes: tuple[type[Any], ...], left_out: set[str]
) -> None:
    text = inspect.getdoc(function) or ""
    arguments = text.partition("Args:")[2].partition("\nReturns:")[0].partition("\nRaises:")[0]
    named = {
        name.strip()
        for line in re.findall(r"^    (\w[\w, \n]*):", arguments, re.M)
        for name in line.split(",")
    }
    wanted = set(inspect.signature(function).parameters) - {"self"}
    assert wanted <= named, f"{words}: {wanted - named} are not explained"


def test_reading_options_are_the_same_everywhere() -> None:
    for _, function, classes, _ in CASES:
        if ReadOptions in classes:
            assert set(READING) <= set(inspect.signature(function).parameters)
    assert all(f.default is not MISSING for f in fields(ReadOptions))
