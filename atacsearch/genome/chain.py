"""UCSC chain files: which stretches of one assembly are aligned with which of another.

Format: https://genome.ucsc.edu/goldenPath/help/chain.html. A header line names both chromosomes, their lengths and
the strand of the second; the lines after it give ungapped blocks and the gaps between them. What UCSC calls the
target is the assembly that intervals come from here (`old`), its query the one that they go to (`new`).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atacsearch.errors import InputError

from .aliases import canonical_chrom
from .assemblies import ASSEMBLIES, canonical_genome, get_assembly

EXPECTED = "a UCSC chain file (such as hg19ToHg38.over.chain.gz)"
_FILE_NAME = re.compile(r"([A-Za-z][A-Za-z0-9]*?\d+)(?:_?to_?)([A-Za-z][A-Za-z0-9]*?\d+)\b", re.IGNORECASE)
_HEADER_FIELDS = 12  # `chain`, then 11; an id may follow


@dataclass(frozen=True)
class Chains:
    """The aligned blocks of a chain file, sorted by their place in the old assembly.

    Attributes:
        source: the file.
        digest: sha256 (hexadecimal) of the file.
        old_genome: the assembly that is lifted from, as its chromosome lengths say (else the file's name); None
            where neither tells.
        new_genome: the assembly that is lifted to, likewise.
        old_sizes: chromosome -> length in bp in the old assembly.
        new_sizes: chromosome -> length in bp in the new one.
        old_chroms: names; the codes in `start` and `end` are places in it.
        new_chroms: names; `new_chrom` holds places in it.
        start: [b] int64 keys `old chromosome << 32 | position` of the first base of each block, ascending.
        end: [b] int64 keys of the base after the last.
        reach: [b] int64 largest end among the blocks up to here.
        new_start: [b] int64 first base of the block in the new assembly, on its forward strand.
        chain: [b] int64 number of the block's chain, in file order.
        new_chrom: [c] int32 new chromosome of each chain.
        reverse: [c] bool, whether a chain aligns with the reverse strand.
    """

    source: str
    digest: str
    old_genome: str | None
    new_genome: str | None
    old_sizes: Mapping[str, int]
    new_sizes: Mapping[str, int]
    old_chroms: tuple[str, ...]
    new_chroms: tuple[str, ...]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    reach: npt.NDArray[np.int64]
    new_start: npt.NDArray[np.int64]
    chain: npt.NDArray[np.int64]
    new_chrom: npt.NDArray[np.int32]
    reverse: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Header:
    line: int
    old: str
    old_size: int
    old_start: int
    old_end: int
    new: str
    new_size: int
    new_start: int
    new_end: int
    reverse: bool


def read_chains(path: str | Path) -> Chains:
    """Read a chain file, plain or gzip; a file that has not changed is read once.

    Args:
        path: the file.

    Raises:
        InputError: missing, no chain file, cut off, or a chain whose blocks do not add up to its header; names the
            line.
    """
    path = Path(path)
    try:
        state = path.stat()
    except OSError:
        raise InputError(f"{path}: no such file; expected {EXPECTED}") from None
    return _read(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2)
def _read(path: str, _changed: int, _size: int) -> Chains:
    try:
        packed = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected {EXPECTED}") from None
    return _assemble(path, hashlib.sha256(packed).hexdigest(), _text(path, packed))


def _text(path: str, packed: bytes) -> str:
    import gzip

    try:
        data = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
        return data.decode("ascii")
    except (EOFError, OSError, zlib.error):
        raise InputError(f"{path}: the gzip file is cut off or broken; fetch it again") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text; expected {EXPECTED}") from None


def _assemble(path: str, digest: str, text: str) -> Chains:
    headers, counts, numbers = _scan(path, text)
    count = np.array(counts)
    first = np.cumsum(count) - count  # block of each chain
    size, old_gap, new_gap = numbers.reshape(-1, 3).T
    chain = np.repeat(np.arange(len(headers)), count)

    def along(step: npt.NDArray[np.int64], starts: list[int]) -> npt.NDArray[np.int64]:
        """Where each block begins, counted from the start of its chain."""
        before: npt.NDArray[np.int64] = np.cumsum(step) - step
        begun: npt.NDArray[np.int64] = np.array(starts, np.int64)[chain] - before[first][chain]
        return before + begun

    old = along(size + old_gap, [h.old_start for h in headers])
    new = along(size + new_gap, [h.new_start for h in headers])
    last = first + count - 1
    wrong = (old + size)[last] != [h.old_end for h in headers]
    wrong |= (new + size)[last] != [h.new_end for h in headers]
    if wrong.any():
        raise InputError(
            f"{path}, line {headers[int(np.argmax(wrong))].line}: the blocks of this chain do not add up to the ends "
            "that its header states; the file is cut off or broken"
        )
    reverse = np.array([h.reverse for h in headers], bool)
    new_size = np.array([h.new_size for h in headers])[chain]
    forward = np.where(reverse[chain], new_size - new - size, new)
    old_sizes = {h.old: h.old_size for h in headers}
    new_sizes = {h.new: h.new_size for h in headers}
    old_code = {name: i for i, name in enumerate(old_sizes)}
    new_code = {name: i for i, name in enumerate(new_sizes)}
    key = (np.array([old_code[h.old] for h in headers], np.int64) << 32)[chain] + old
    order = np.argsort(key, kind="stable")
    end = (key + size)[order]
    named = _genomes_in_name(path)
    return Chains(
        path,
        digest,
        _genome(old_sizes) or named[0],
        _genome(new_sizes) or named[1],
        old_sizes,
        new_sizes,
        tuple(old_sizes),
        tuple(new_sizes),
        key[order],
        end,
        np.maximum.accumulate(end),
        forward[order],
        chain[order],
        np.array([new_code[h.new] for h in headers], np.int32),
        reverse,
    )


def _scan(path: str, text: str) -> tuple[list[_Header], list[int], npt.NDArray[np.int64]]:
    """Headers [c], blocks of each chain [c], and `size, gap, gap` of all blocks [3 b], zeros after the last of each."""
    headers: list[_Header] = []
    counts: list[int] = []
    fields: list[str] = []
    ended = True  # no chain waits for its last block
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line[0] == "#":
            continue
        if words[0] == "chain":
            if not ended:
                raise _unended(path, headers[-1])
            headers.append(_header(path, number, words))
            counts.append(0)
            ended = False
            continue
        if ended or len(words) not in (1, 3) or not all(map(str.isdecimal, words)):
            what = "a line that begins with `chain`" if ended else "`size gap gap` or a last `size`"
            raise InputError(
                f"{path}, line {number}: expected {what}, found {line[:80]!r}; is it {EXPECTED}?"
            )
        counts[-1] += 1
        ended = len(words) == 1
        fields += (*words, "0", "0") if ended else words
    if not headers:
        raise InputError(f"{path}: holds no chains; expected {EXPECTED}")
    if not ended:
        raise _unended(path, headers[-1])
    return headers, counts, np.array(list(map(int, fields)), np.int64)


def _unended(path: str, header: _Header) -> InputError:
    return InputError(
        f"{path}, line {header.line}: this chain does not end with a single size; the file is cut off or broken"
    )


def _header(path: str, number: int, fields: list[str]) -> _Header:
    shown = " ".join(fields)[:80]
    try:
        if len(fields) < _HEADER_FIELDS:
            raise ValueError
        old_size, old_start, old_end = (int(fields[i]) for i in (3, 5, 6))
        new_size, new_start, new_end = (int(fields[i]) for i in (8, 10, 11))
    except ValueError:
        raise InputError(
            f"{path}, line {number}: expected `chain score name size strand start end name size strand start end "
            f"id`, found {shown!r}"
        ) from None
    if fields[4] != "+" or fields[9] not in ("+", "-"):
        raise InputError(
            f"{path}, line {number}: strands {fields[4]} and {fields[9]}; the first of a chain is always +"
        )
    if not (0 <= old_start < old_end <= old_size and 0 <= new_start < new_end <= new_size):
        raise InputError(f"{path}, line {number}: the chain lies outside its chromosome: {shown!r}")
    return _Header(
        number,
        fields[2],
        old_size,
        old_start,
        old_end,
        fields[7],
        new_size,
        new_start,
        new_end,
        fields[9] == "-",
    )


def _genome(sizes: Mapping[str, int]) -> str | None:
    """The built-in assembly in which most of these chromosomes have their length; None for a tie or none."""
    fits = {
        name: sum(
            get_assembly(name).chroms.get(canonical_chrom(chrom, name)) == size
            for chrom, size in sizes.items()
        )
        for name in ASSEMBLIES
    }
    best = sorted(fits, key=lambda name: -fits[name])[:2]
    return best[0] if fits[best[0]] > fits[best[1]] else None


def _genomes_in_name(path: str) -> tuple[str | None, str | None]:
    """Assemblies as a file's name gives them: hg19ToHg38.over.chain.gz, GRCh37_to_GRCh38.chain."""
    found = _FILE_NAME.search(Path(path).name)
    if found is None:
        return None, None
    old, new = (name[0].lower() + name[1:] for name in found.groups())
    return canonical_genome(old), canonical_genome(new)
