"""Compare our tokenisation with that of gtars, exactly, in both semantics.

    python scripts/parity_gtars.py --python PEER/bin/python --universe U.bed --bed A.bed.gz --fragments
    F.tsv.gz

PEER is an environment of its own with gtars in it (`python -m venv PEER && PEER/bin/pip install gtars`). For
every input two comparisons are printed: the lists as gtars gives them (order, duplicates, unk), and the sets
(distinct ids without unk). Exit status 1 if anything differs. gtars takes chromosome names as they are
written, our sets also through their aliases: a file with `chr23` for `chrX` has more ids here, and is the one
expected difference.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atacsearch.tokens.token_sets import TokenSets
from atacsearch.tokens.universe import Universe

PEER = """
import sys, time, importlib.metadata
from gtars.models import RegionSet
from gtars.tokenizers import Tokenizer, tokenize_fragment_file

universe, out, *jobs = sys.argv[1:]
tokenizer = Tokenizer.from_bed(universe)
for number, job in enumerate(jobs):
    kind, path = job.split("=", 1)
    began = time.perf_counter()
    if kind == "bed":
        tokens = tokenizer.tokenize(RegionSet(path))
        took = time.perf_counter() - began
        found = {"": tokenizer.convert_tokens_to_ids(tokens)}
    else:
        found = tokenize_fragment_file(path, tokenizer)
        took = time.perf_counter() - began
    with open(f"{out}/{number}.txt", "w") as lines:
        print(importlib.metadata.version("gtars"), took, tokenizer.unk_token_id, sep="\\t", file=lines)
        for name, ids in found.items():
            print(name, " ".join(map(str, ids)), sep="\\t", file=lines)
"""
Lists = dict[str, npt.NDArray[np.uint32]]


def ask_gtars(python: str, universe: Path, jobs: list[str]) -> list[tuple[str, float, int, Lists]]:
    """Version, seconds, unk id and token lists of every job, from an interpreter that has gtars."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([python, "-c", PEER, str(universe), scratch, *jobs], text=True, check=False)
        if done.returncode:
            sys.exit(f"{python} could not run gtars on these files")
        answers = []
        for number in range(len(jobs)):
            head, *lines = (Path(scratch) / f"{number}.txt").read_text().splitlines()
            version, took, unk = head.split("\t")
            lists = {
                name: np.array(ids.split(), dtype=np.uint32)
                for name, ids in (line.split("\t") for line in lines)
            }
            answers.append((version, float(took), int(unk), lists))
        return answers


def as_lists(sets: TokenSets, kind: str) -> Lists:
    """Our sets by name; the one set of a BED file has no name there."""
    return {"" if kind == "bed" else name: tokens for name, tokens in zip(sets.names, sets, strict=True)}


def differing(theirs: Lists, ours: Lists) -> list[str]:
    """Names whose lists are not equal, element by element."""
    empty = np.empty(0, np.uint32)
    return [
        name
        for name in sorted(set(theirs) | set(ours))
        if not np.array_equal(theirs.get(name, empty), ours.get(name, empty))
    ]


def main() -> int:
    """Print one line per input and semantics."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True, help="an interpreter with gtars")
    parser.add_argument("--universe", required=True, type=Path)
    parser.add_argument("--bed", action="append", default=[], type=Path)
    parser.add_argument("--fragments", action="append", default=[], type=Path)
    options = parser.parse_args()
    universe = Universe.from_bed(options.universe)
    inputs = [("bed", p) for p in options.bed] + [("fragments", p) for p in options.fragments]
    answers = ask_gtars(options.python, options.universe, [f"{kind}={path}" for kind, path in inputs])
    failed = False
    for (kind, path), (version, took, unk, theirs) in zip(inputs, answers, strict=True):
        if unk != universe.unk:
            sys.exit(f"unk is {unk} for gtars and {universe.unk} here: the universe holds duplicates")
        all_cells = {} if kind == "bed" else {"min_fragments": 1}
        for semantics in ("gtars", "set"):
            began = time.perf_counter()
            parity = "gtars" if semantics == "gtars" else None
            ours = as_lists(universe.tokenize(path, parity=parity, **all_cells), kind)
            spent = time.perf_counter() - began
            wanted = theirs
            if semantics == "set":
                wanted = {name: np.unique(ids[ids != unk]) for name, ids in theirs.items()}
            wrong = differing(wanted, ours)
            total = sum(len(ids) for ids in wanted.values())
            outcome = "equal" if not wrong else f"{len(wrong)} DIFFER, first {wrong[0]!r}"
            print(
                f"{path.name}\t{semantics}\t{len(wanted)} items\t{total} ids\t{outcome}\t"
                f"gtars {version} {took:.2f} s, here {spent:.2f} s"
            )
            failed = failed or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
