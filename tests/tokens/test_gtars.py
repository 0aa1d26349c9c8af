"""Token lists as gtars 0.10 made them: `data/gtars_parity.json` holds its answers for generated intervals."""

import json
from pathlib import Path

import numpy as np
import pytest

from atacsearch.genome.intervals import Intervals
from atacsearch.tokens.gtars import gtars_fragment_tokens
from atacsearch.tokens.universe import Universe


def make(rows):
    return Intervals.from_columns(*zip(*rows, strict=True))


@pytest.fixture(scope="module")
def answers():
    return json.loads((Path(__file__).parent / "data" / "gtars_parity.json").read_text())


def test_a_bed_file_gives_the_same_list(answers):
    universe = Universe(make(answers["universe"]))
    intervals = make(answers["intervals"])
    assert universe.tokenize(intervals, parity="gtars")[0].tolist() == answers["tokens"]
    as_set = sorted(set(answers["tokens"]) - {universe.unk})
    assert universe.tokenize(intervals)[0].tolist() == as_set


def test_nothing_hit_gives_one_unk(answers):
    universe = Universe(make(answers["universe"]))
    nothing = make([("chrX", 1, 2), ("chr1", 9000, 9001)])
    assert (
        universe.tokenize(nothing, parity="gtars")[0].tolist()
        == answers["tokens_of_nothing"]
        == [universe.unk]
    )


def test_fragments_give_the_same_lists(answers):
    universe = Universe(make(answers["universe"]))
    rows, tokens = gtars_fragment_tokens(universe, make(answers["intervals"]))
    barcodes = np.array(answers["barcodes"])[rows]
    for barcode, expected in answers["fragment_tokens"].items():
        assert tokens[barcodes == barcode].tolist() == expected
