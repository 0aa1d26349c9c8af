"""The command line and Python say the same: names, defaults and help of one table of options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import atacsearch as ats
from atacsearch.api.options import EmbedOptions, TokenizeOptions, UniverseOptions
from atacsearch.cli.root import cli
from atacsearch.errors import InputError
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


@pytest.mark.parametrize(
    ("cls", "given", "message"),
    [
        (SearchOptions, {"k": "5"}, "-k '5': expected a whole number, 1 or more"),
        (SearchOptions, {"k": 2.5}, "-k 2.5: expected a whole number"),
        (SearchOptions, {"diverse": "no"}, "--diverse 'no': expected True or False"),
        (SearchOptions, {"group_by": ["study"]}, r"--group-by \['study'\]: expected text"),
        (SearchOptions, {"rank": "cosin"}, "--rank cosin: expected one of .*; did you mean 'cosine'"),
        (OverlapOptions, {"k": 0}, "-k 0: expected a whole number, 1 or more"),
        (OverlapQuery, {"query": "x", "collections": ("bedfiles",)}, "--in bedfiles: expected one of"),
        (CompareOptions, {"min_difference": -1}, "--min-difference -1: expected a number from 0 to 1"),
        (CompareOptions, {"q": float("nan")}, "--q nan: expected a number from 0 to 1"),
        (AnnotateOptions, {"coverage": "x"}, "--coverage 'x': expected a number"),
        (EmbedOptions, {"level": "cells"}, "--level cells: expected one of cell, region"),
        (PretrainOptions, {"holdout": 0.9}, "--holdout 0.9: expected a number from 0 to 0.5"),
        (CelltypeOptions, {"lr": 0}, "--lr 0: expected a number above 0, at most 1"),
        (CelltypeOptions, {"unlabelled": (5,)}, "--unlabelled 5: expected a name or path"),
        (BatchOptions, {"layers": 0}, "--layers 0: expected a whole number, 1 or more"),
        (BulkOptions, {"seed": 2**32}, "--seed 4294967296: expected a whole number from 0 to 4294967295"),
        (ReadOptions, {"whitelist": ["AC"]}, "--whitelist .*: expected a path"),
    ],
)
def test_python_refuses_what_the_command_line_refuses(
    cls: type[Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cls(**given)


def test_numbers_of_numpy_are_numbers() -> None:
    assert SearchOptions(k=np.int64(3), diverse=np.bool_(True), mmr_lambda=np.float32(0.5)).end == 3
    assert ReadOptions(genome=Path("x.chrom.sizes")).genome == Path("x.chrom.sizes")  # type: ignore[arg-type]


@pytest.mark.parametrize(("words", "function", "classes", "left_out"), CASES, ids=IDS)
def test_defaults_are_allowed(
    words: str, function: Callable[..., Any], classes: tuple[type[Any], ...], left_out: set[str]
) -> None:
    for cls in classes:
        cls(**{f.name: f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING})
