"""Make the bundled table of Cell Ontology terms: id, name, exact synonyms, parents.

Taken from the ontology file inside a package on PyPI (`cellxgene-ontology-guide`, which carries releases of the Cell
Ontology as JSON); the package is downloaded, not installed. All terms that are not deprecated are kept, without their
definitions; parents are those one step up by is_a. A deprecated term that was replaced by another of the ontology is
kept as an alias of that one, by its id alone.

    python scripts/make_cell_ontology.py [--release v2026-03-26] [--out FILE]
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "cellxgene-ontology-guide==1.11.1"
LICENCE = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
SOURCE = "Cell Ontology (Diehl et al. 2016, doi:10.1186/s13326-016-0088-7; https://github.com/obophenotype/cell-ontology)"


def terms_of(release: str) -> dict[str, dict[str, Any]]:
    """Terms by id, as the package has them."""
    import pyarrow as pa

    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run(pip, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            packed = archive.read(f"cellxgene_ontology_guide/data/CL-ontology-{release}.json.zst")
    found: dict[str, dict[str, Any]] = json.loads(pa.CompressedInputStream(io.BytesIO(packed), "zstd").read())
    return found


def lines(terms: dict[str, dict[str, Any]], release: str) -> list[str]:
    """The table, with source and licence in lines that begin with #."""
    kept = {key: term for key, term in terms.items() if not term["deprecated"]}
    aliases: dict[str, list[str]] = {}
    for key, term in terms.items():
        if term["deprecated"] and term.get("replaced_by") in kept:
            aliases.setdefault(term["replaced_by"], []).append(key)
    out = [
        f"# {SOURCE}, release {release}, by {PACKAGE} on PyPI",
        f"# licence: {LICENCE}; changed: definitions, deprecated terms and all relations but is_a left out",
        "id\tname\tsynonyms\tparents\treplaced",
    ]
    for key in sorted(kept):
        term = kept[key]
        parents = sorted(p for p, steps in term["ancestors"].items() if steps == 1 and p in kept)
        fields = [
            key,
            term["label"],
            *map("|".join, (term.get("synonyms", []), parents, aliases.get(key, []))),
        ]
        if any("\t" in field or "\n" in field for field in fields):
            raise SystemExit(f"{key}: a field holds a tab or line break")
        out.append("\t".join(fields))
    return out


def main() -> None:
    """Write the table, gzip without a time stamp."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = Path(__file__).resolve().parents[1] / "atacsearch" / "genome" / "data"
    parser.add_argument("--release", default="v2026-03-26")
    parser.add_argument("--out", type=Path, default=folder / "cell_ontology.tsv.gz")
    options = parser.parse_args()
    table = lines(terms_of(options.release), options.release)
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as out:
        out.write(("\n".join(table) + "\n").encode())
    options.out.write_bytes(buffer.getvalue())
    print(f"{options.out}: {len(table) - 3:,} terms, {len(buffer.getvalue()):,} bytes")


if __name__ == "__main__":
    main()
