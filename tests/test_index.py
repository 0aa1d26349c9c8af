"""The public index says the same as the command line, in the same words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
from tiny_world import World, build_world, write_h5ad

import atacsearch as ats
from atacsearch.errors import InputError
from atacsearch.index import create_index


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def path(world: World) -> Path:
    path = world.folder / "client.index"
    with create_index(path, world.model, device="cpu") as index:
        added = index.add_cells(world.reference)
    assert added.added == {str(world.reference): 60}
    return path


def test_annotate_and_search_give_data_frames(world: World, path: Path) -> None:
    said: list[str] = []
    index = ats.open_index(path, device="cpu", notify=said.append)
    calls = index.annotate(world.query, label="cell_type")
    assert isinstance(calls.to_pandas(), pd.DataFrame)
    assert calls.columns == ["item", "label", "confidence", "margin", "nearest_distance", "status"]
    assert calls["label"].tolist()[:4] == ["B", "NK", "B", "NK"]
    near = index.search("cells", world.query, items="s2-0", k=3, where="cell_type=NK")
    assert near["cell_type"].tolist() == ["NK"] * 3
    assert any("Encoding on cpu" in line for line in said)
    assert repr(index) == f"Index({str(path)!r})"


def test_additions_and_status(world: World, path: Path) -> None:
    bed = world.bed("one.bed", range(40))
    index = ats.open_index(path, device="cpu")
    assert index.add_beds([bed]).added == {str(bed): 1}
    assert index.add_beds(bed).skipped == (str(bed),)
    assert set(index.add_regions("cell_type").contexts) == {"B", "NK"}
    assert index.add_regions("cell_type").unchanged == ("B", "NK")
    assert index.status().collections["bedfiles"].items == 1
    more = write_h5ad(world.folder / "more.h5ad", 7, 4)
    assert index.add_cells([more]).added == {str(more): 4}
    assert set(index.add_regions("cell_type", contexts="B").contexts) == {"B"}


def test_errors_are_exceptions_with_a_message(world: World, path: Path) -> None:
    index = ats.open_index(path, device="cpu")
    with pytest.raises(InputError, match="expected cells, beds or regions"):
        index.search("genes", "x")
    with pytest.raises(InputError, match="no such column"):
        index.annotate(world.query, label="nothing")
    with pytest.raises(InputError):
        ats.open_index(world.folder / "no.index")
    with pytest.raises(InputError, match="metadata="):
        ats.open_index("http://localhost:6333")


def test_what_is_in_memory_is_added_by_sample(world: World, path: Path) -> None:
    cells = ad.read_h5ad(world.query)
    with ats.open_index(path, device="cpu") as index:
        assert index.add_cells(cells[:3], sample="one").added == {"AnnData one": 3}
        assert index.add_cells(cells[3:5], sample="two").added == {"AnnData two": 2}
        with pytest.raises(InputError, match="a sample of another name keeps both"):
            index.add_cells(cells[5:7], sample="two")
        sets = ats.tokenize(cells[7:9], world.universe)
        assert index.add_cells(sets, sample="three").added == {"TokenSets three": 2}


def test_bad_arguments_are_refused_in_words(world: World, path: Path) -> None:
    with ats.open_index(path, device="cpu") as index:
        calls = index.annotate(world.query, label="cell_type")
        assert calls == index.annotate(world.query, label="cell_type")
        with pytest.raises(InputError, match="no label: give one"):
            index.annotate(world.query, label=[])
        with pytest.raises(InputError, match="5: expected a text or a list of texts"):
            index.search("cells", world.query, where=5)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="there is no folder"):
            index.annotate(world.query, "cell_type", output=world.folder / "no" / "x.h5ad")
        with pytest.raises(InputError, match="no such item"):
            index.explain(world.query, "cell_type", 0)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="--kind regions: expected one of cells, beds"):
            index.calibrate("regions")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="DataFrame: is no path"):
        ats.build_universe(pd.DataFrame({"chrom": []}))  # type: ignore[arg-type]
    none = ats.embed(ad.read_h5ad(world.query)[:0], world.model, device="cpu")
    assert none.matrix.shape == (0, 16)


def test_the_names_of_the_package() -> None:
    for name in ats.__all__:
        assert getattr(ats, name) is not None
    assert set(ats.__all__) == set(dir(ats))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ats.nothing  # noqa: B018


def test_the_version_is_that_of_the_project() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'version = "{ats.__version__}"' in text
    code = "from atacsearch.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert ats.__version__ in done.stdout
