"""Genome assemblies: chromosome names, lengths and accessions; hg38, hg19, mm10 and mm39 built in, others
from a file.

Lengths are UCSC's published chrom.sizes (mm39: main chromosomes and mitochondrion only). Accessions are those
of the NCBI assembly reports. The GA4GH sequence-collection digest of a genome needs the digests of its
sequences, which do not follow from names and lengths; it is None for the built-in assemblies unless the user
supplies it. The digest of the coordinate system (`sorted_name_length_pairs`) needs no sequence and is always
known.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from atacsearch.errors import InputError
from atacsearch.spelling import did_you_mean

ASSEMBLIES = ("hg38", "hg19", "mm10", "mm39")
_GENOME_NAMES = {
    "grch38": "hg38",
    "grch37": "hg19",
    "b37": "hg19",
    "hs37d5": "hg19",
    "grcm38": "mm10",
    "grcm39": "mm39",
    **{name: name for name in ASSEMBLIES},
}
_MITOCHONDRIAL_EXTRA = {
    "hg19": ("NC_012920.1", "J01415.2")
}  # b37 data carry the revised Cambridge sequence as MT


@dataclass(frozen=True)
class Assembly:
    """An assembly: what its chromosomes are called and how long they are.

    Attributes:
        name: canonical name ("hg38").
        chroms: chromosome name to length in bp, main chromosomes first.
        accessions: RefSeq and GenBank accession with version to chromosome name.
        refget_digest: GA4GH sequence-collection digest of the genome, where the user supplied it; else None.
    """

    name: str
    chroms: Mapping[str, int]
    accessions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refget_digest: str | None = None

    @classmethod
    def from_chrom_sizes(
        cls, path: str | Path, name: str | None = None, refget_digest: str | None = None
    ) -> Assembly:
        """Read a chrom.sizes file: name and length a line, separated by white space (a `.fai` works too).

        Raises:
            InputError: the file is missing or empty, or a line holds no positive length (named).
        """
        path = Path(path)
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as a chrom.sizes file ({error})") from None
        chroms: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split()
            if len(fields) < 2 or not fields[1].isdigit() or int(fields[1]) < 1:
                raise InputError(
                    f"{path}, line {number}: expected a chromosome name and its length, found {line!r}"
                )
            if fields[0] in chroms:
                raise InputError(f"{path}, line {number}: {fields[0]} is listed twice")
            chroms[fields[0]] = int(fields[1])
        if not chroms:
            raise InputError(f"{path}: holds no chromosomes; expected lines of name and length")
        return cls(name or path.name.split(".")[0], MappingProxyType(chroms), refget_digest=refget_digest)

    @cached_property
    def coordinate_digest(self) -> str:
        """GA4GH `sorted_name_length_pairs`: digest of names and lengths, no sequence needed."""
        pairs = sorted(_sha512t24u(_canonical({"length": n, "name": c})) for c, n in self.chroms.items())
        return _sha512t24u(_canonical(pairs))


@cache
def _built_in(name: str) -> Assembly:
    text = resources.files(__package__).joinpath("data", f"{name}.chroms.tsv").read_text()
    chroms: dict[str, int] = {}
    accessions: dict[str, str] = dict.fromkeys(_MITOCHONDRIAL_EXTRA.get(name, ()), "chrM")
    for line in text.splitlines()[1:]:
        chrom, length, *accession = line.split("\t")
        chroms[chrom] = int(length)
        accessions.update({a: chrom for a in accession if a})
    return Assembly(name, MappingProxyType(chroms), MappingProxyType(accessions))


def get_assembly(name: str | Path) -> Assembly:
    """A built-in assembly by any of its names, or one read from a chrom.sizes file.

    Example:
        >>> get_assembly("GRCh38").chroms["chr1"]
        248956422

    Raises:
        InputError: neither a known name nor a file.
    """
    canonical = canonical_genome(str(name))
    if canonical in ASSEMBLIES:
        return _built_in(canonical)
    if Path(name).is_file():
        return Assembly.from_chrom_sizes(name)
    raise InputError(
        f"genome {str(name)!r} is not known; built in: {', '.join(ASSEMBLIES)}; "
        f"for others give a chrom.sizes file{did_you_mean(str(name), ASSEMBLIES)}"
    )


def canonical_genome(name: str | None) -> str | None:
    """UCSC name of an assembly; names that are not known stay, None and empty text are None.

    Example:
        >>> [canonical_genome(name) for name in ("GRCh38.p13", "GRCm39", "danRer11", "")]
        ['hg38', 'mm39', 'danRer11', None]
    """
    if name is None or not name.strip():
        return None
    text = name.strip()
    return _GENOME_NAMES.get(text.lower().split(".p")[0], text)


def seqcol_digest(names: Sequence[str], sequence_digests: Iterable[str]) -> str:
    """GA4GH sequence-collection digest of names and sequence digests (`SQ.…`), in FASTA order (refget seqcol
    1.0).

    Example:
        >>> seqcol_digest(["chr1"], ["SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2"])
        '...'
    """
    inherent = {
        "names": _sha512t24u(_canonical(list(names))),
        "sequences": _sha512t24u(_canonical(list(sequence_digests))),
    }
    return _sha512t24u(_canonical(inherent))


def _canonical(value: object) -> bytes:
    """RFC 8785 canonical JSON, for the strings and whole numbers that occur here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _sha512t24u(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha512(data).digest()[:24]).decode()
