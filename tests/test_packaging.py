"""The wheel carries what the package reads at run time, installs, and its command starts without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built by hatchling without a build environment of its own."""
    if not (REPO / "pyproject.toml").is_file():
        pytest.skip("not run from a checkout")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True, text=True)
    (built,) = out.glob("*.whl")
    return built


def test_wheel_carries_code_sql_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in REPO.glob("atacsearch/**/*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(REPO).as_posix() in names
    for path in REPO.glob("sql/**/*.sql"):
        assert f"atacsearch/{path.relative_to(REPO).as_posix()}" in names
    assert "atacsearch/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests/")]


def test_wheel_installs_and_its_command_answers(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
    ]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, text=True)
    code = "import atacsearch; print(atacsearch.__file__); from atacsearch.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    )
    first, rest = done.stdout.split("\n", 1)
    assert Path(first).is_relative_to(target)
    assert "annotate" in rest


@pytest.mark.parametrize("words", ["--help", "--version", "annotate --help", "train celltype --help"])
def test_help_loads_nothing_heavy(words: str) -> None:
    heavy = (
        "torch",
        "pandas",
        "duckdb",
        "qdrant_edge",
        "qdrant_client",
        "anndata",
        "sklearn",
        "numba",
        "pyarrow",
    )
    code = (
        "import sys\nfrom atacsearch.cli.root import cli\n"
        f"cli.main({words.split()!r}, prog_name='atacsearch', standalone_mode=False)\n"
        f"print('LOADED', [m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("LOADED []")
