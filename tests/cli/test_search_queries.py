"""Forms of a search query, and of its page: several, centroid, gene, text, groups, diversity, another genome."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from calling import Answer, Run, call
from tiny_world import FIRST, STEP, World

import atacsearch as ats
from atacsearch.errors import InputError
from atacsearch.genome.assemblies import get_assembly

HG19, HG38 = (get_assembly(name).chroms["chr1"] for name in ("hg19", "hg38"))
SHIFT = 7_000  # bp further on in hg38 than in hg19
CHAIN = f"chain 9 chr1 {HG19} + 500000 9000000 chr1 {HG38} + {500000 + SHIFT} {9000000 + SHIFT} 1\n8500000\n"


@pytest.fixture(scope="module")
def studies(world: World, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index with nine more BED files: three of one content, in two studies, and others."""
    index = Path(shutil.copytree(built, tmp_path_factory.mktemp("studies") / "my.index"))
    rows = ["file\ttissue\ttarget\tstudy\n"]
    for number, (first, tissue, target, study) in enumerate(
        [
            (0, "liver", "CTCF", "s1"),
            (0, "liver", "CTCF", "s1"),
            (0, "left liver lobe", "CTCF", "s2"),
            (2, "lung", "CTCF", "s1"),
            (4, "lung", "H3K27ac", "s2"),
            (100, "liver", "H3K4me1", "s3"),
            (100, "liver", "H3K4me3", ""),
            (104, "lung", "H3K4me3", ""),
        ]
    ):
        world.bed(f"study{number}.bed", range(first, first + 30))
        rows.append(f"study{number}.bed\t{tissue}\t{target}\t{study}\n")
    (world.folder / "studies.tsv").write_text("".join(rows))
    answer = call("index", "add-beds", index, world.folder / "studies.tsv")
    assert answer.code == 0, answer.err
    return index


def ids(answer: Answer) -> list[str]:
    assert answer.code == 0, answer.err
    return [row["id"] for row in answer.rows()]


def beds(run: Run, index: Path, *arguments: object) -> Answer:
    return run("search", "beds", *arguments, "--index", index, "--format", "tsv")


def test_text_alone_ranks_by_words(run: Run, studies: Path) -> None:
    answer = beds(run, studies, "--text", "CTCF liver")
    assert ids(answer) == ["study0.bed", "study1.bed", "study2.bed"]  # equal scores by id, more words later
    assert "3 of the beds have all its words" in answer.err
    row = answer.rows()[0]
    assert (row["query"], row["distance"], row["tissue"]) == ("CTCF liver", "", "liver")
    assert float(row["text_score"]) > float(answer.rows()[2]["text_score"])
    slip = beds(run, studies, "--text", "CTCF livre", "-k", 1, "--offset", 1)
    assert ids(slip) == ["study1.bed"]
    assert slip.rows()[0]["rank"] == "2"
    assert "'livre' is in no label; read as 'liver'" in slip.err
    some = beds(run, studies, "--text", "h3k27ac liver", "--where", "study=s1")
    assert set(ids(some)) == {"study0.bed", "study1.bed"}
    assert "none of the beds has all its words, 2 have some" in some.err


def test_text_restricts_a_query(run: Run, world: World, studies: Path) -> None:
    bed = world.bed("asking.bed", range(100, 128))
    assert ids(beds(run, studies, bed, "-k", 1)) == ["study5.bed"]
    found = beds(run, studies, bed, "--text", "CTCF")
    assert set(ids(found)) == {f"study{i}.bed" for i in range(4)}
    distances = [float(row["distance"]) for row in found.rows()]
    assert distances == sorted(distances)
    none = beds(run, studies, bed, "--text", "CTCF kidney")
    assert ids(none) == []
    assert "'kidney' is in no label" in none.err
    assert "none of the beds has all words of --text" in none.err


def test_ties_are_in_order_of_ids_on_every_page(run: Run, world: World, studies: Path) -> None:
    bed = world.bed("asking.bed", range(30))
    whole = ids(beds(run, studies, bed, "-k", 9))
    assert whole[:3] == ["study0.bed", "study1.bed", "study2.bed"]
    pages = [ids(beds(run, studies, bed, "-k", 2, "--offset", at)) for at in (0, 2, 4)]
    assert [i for page in pages for i in page] == whole[:6]
    beyond = beds(run, studies, bed, "--offset", 50)
    assert ids(beyond) == []
    assert "No answers from rank 51 on" in beyond.err


def test_one_answer_a_study(run: Run, world: World, studies: Path) -> None:
    bed = world.bed("asking.bed", range(30))
    answer = beds(
        run, studies, bed, "--group-by", "study", "-k", 4, "--columns", "tissue", "--where", "n_regions=30"
    )
    rows = answer.rows()
    assert [(r["id"], r["study"], r["n_in_group"]) for r in rows[:2]] == [
        ("study0.bed", "s1", "3"),
        ("study2.bed", "s2", "2"),
    ]
    assert {r["id"]: r["n_in_group"] for r in rows[2:]} == {"study5.bed": "1", "study6.bed": "1"}
    second = beds(run, studies, bed, "--group-by", "study", "-k", 2, "--offset", 2, "--where", "n_regions=30")
    assert ids(second) == [r["id"] for r in rows[2:]]
    text = beds(run, studies, "--text", "liver", "--group-by", "target")
    assert sorted((r["target"], r["n_in_group"]) for r in text.rows()) == [
        ("CTCF", "3"),
        ("H3K4me1", "1"),
        ("H3K4me3", "1"),
    ]
    readable = run("search", "beds", bed, "--group-by", "study", "--index", studies, "-k", 1)
    assert "study" in readable.out
    assert "n_in_group" in readable.out


def test_diverse_answers(run: Run, world: World, studies: Path) -> None:
    bed = world.bed("asking.bed", range(30))
    plain, diverse = (ids(beds(run, studies, bed, "-k", 3, *more)) for more in ((), ("--diverse",)))
    assert plain == ["study0.bed", "study1.bed", "study2.bed"]
    assert diverse[0] == "study0.bed"
    assert not set(diverse[1:]) & set(plain)
    assert ids(beds(run, studies, bed, "-k", 3, "--diverse", "--mmr-lambda", 1)) == plain


def test_several_queries_and_their_centroid(run: Run, studies: Path) -> None:
    several = beds(run, studies, "study0.bed", "study5.bed", f"chr1:{FIRST + 1}-{FIRST + STEP}", "-k", 1)
    assert [(r["query"], r["id"]) for r in several.rows()[:2]] == [
        ("study0.bed", "study1.bed"),
        ("study5.bed", "study6.bed"),
    ]
    assert [r["query_start"] for r in several.rows()] == ["", "", str(FIRST)]
    middle = beds(run, studies, "study0.bed", "study5.bed", "--centroid", "-k", 20)
    assert {r["query"] for r in middle.rows()} == {"centroid of 2"}
    assert not {"study0.bed", "study5.bed"} & set(ids(middle))
    assert "the centroid of 2 vectors" in middle.err
    same = beds(run, studies, "study0.bed", "study1.bed", "--centroid", "-k", 1)
    assert ids(same) == ["study2.bed"]
    assert float(same.rows()[0]["distance"]) == pytest.approx(0, abs=2e-6)


def test_a_file_that_is_indexed_under_its_path(run: Run, world: World, index: Path) -> None:
    bed = world.bed("both.bed", range(40))
    assert run("index", "add-beds", index, bed).code == 0
    answer = beds(run, index, bed, "-k", 1)
    assert ids(answer)[0] in {str(bed), "f0.bed"}  # of the same regions
    assert "is indexed under this name too; the file is read" in answer.err


def test_a_gene_asks_with_all_its_promoters(run: Run, world: World, index: Path) -> None:
    genes = world.folder / "two.bed"
    genes.write_text("chr1\t1010200\t1010201\tTWO|T1\t0\t+\nchr1\t1100200\t1100201\tTWO|T2\t0\t+\n")
    assert run("index", "add-regions", index, "--genes", genes).code == 0
    answer = run("search", "cells", "TWO", "--index", index, "-k", 1, "--format", "tsv")
    assert "overlaps 2 regions of the universe" in answer.err  # not the eight between the promoters
    row = answer.rows()[0]
    assert (row["query_start"], row["query_end"]) == ("1009200", "1101201")


def test_another_genome_is_lifted_only_with_a_chain_file(run: Run, world: World, studies: Path) -> None:
    chain = world.folder / "hg19ToHg38.over.chain.gz"
    chain.write_bytes(gzip.compress(CHAIN.encode()))
    starts = [FIRST + STEP * i - SHIFT for i in range(30)]
    old = world.folder / "old.bed"
    old.write_text("".join(f"chr1\t{s + 10}\t{s + 490}\n" for s in starts) + "chr1\t5\t9\n")
    refused = beds(run, studies, old, "--genome", "hg19")
    assert refused.code == 2
    assert "is hg19, but the universe is hg38" in refused.err
    assert "--liftover CHAIN (a chain file from hg19 to hg38" in refused.err
    lifted = beds(run, studies, old, "--genome", "hg19", "--liftover", chain, "-k", 3)
    assert ids(lifted) == ["study0.bed", "study1.bed", "study2.bed"]
    assert (
        "lifted from hg19 to hg38 by hg19ToHg38.over.chain.gz: 1 of 31 regions lost (3.23%: 1 deleted)"
        in lifted.err
    )
    region = f"chr1:{starts[0] + 1}-{starts[0] + 400}"
    answer = beds(run, studies, region, "--liftover", chain, "-k", 1)
    assert answer.rows()[0]["query_start"] == str(FIRST)
    assert f"{region} lifted from hg19 to hg38: chr1:{FIRST + 1}-{FIRST + 400}" in answer.err
    other = beds(run, studies, region, "--genome", "hg19")
    assert other.code == 2
    assert "is of hg19, but the index is of hg38" in other.err
    away = beds(run, studies, "chr1:5-9", "--liftover", chain)
    assert away.code == 2
    assert "chr1:5-9: cannot be lifted from hg19 to hg38 (deleted" in away.err


def test_lifted_files_are_tokenised_and_added(run: Run, world: World, index: Path) -> None:
    chain, old = world.folder / "hg19ToHg38.over.chain.gz", world.folder / "added.bed"
    chain.write_bytes(gzip.compress(CHAIN.encode()))
    old.write_text(f"chr1\t{FIRST - SHIFT}\t{FIRST - SHIFT + 100}\n")
    answer = run("index", "add-beds", index, old, "--liftover", chain)
    assert answer.code == 0, answer.err
    row = beds(run, index, "--text", "added", "-k", 1).rows()[0]
    assert (row["id"], row["lifted_from"]) == (str(old), "hg19")
    tokens = world.folder / "lifted.parquet"
    done = run(
        "tokenize", old, "--universe", world.universe, "--genome", "hg19", "--liftover", chain, "-o", tokens
    )
    assert done.code == 0, done.err
    assert "1 items, 1 tokens, 0 items empty" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing is asked: give a QUERY"),
        (("--text", "++"), "has no word"),
        (("--text", "CTCF", "--centroid"), "--centroid: needs a QUERY"),
        (("--text", "CTCF", "--diverse"), "--diverse: needs a QUERY"),
        (("--text", "CTCF", "--rank", "overlap"), "--rank and --statistics: needs a QUERY"),
        (("study0.bed", "--group-by", "lab"), "no column 'lab' among the bedfiles"),
        (("study0.bed", "--mmr-lambda", "0.5"), "--mmr-lambda is the weight of --diverse"),
        (("study0.bed", "--diverse", "-k", 101), "--diverse chooses among the nearest 100"),
        (("study0.bed", "--diverse", "--rank", "fused"), "--diverse weighs cosine distances"),
        (("study0.bed", "study1.bed", "--item", "x"), "--item picks from the items of one file"),
        (("study0.bed", "--offset", "-1"), "--offset"),
        (("study0.bed", "--liftover", "absent.chain"), "absent.chain"),
    ],
)
def test_what_cannot_be_asked(run: Run, studies: Path, arguments: tuple[object, ...], message: str) -> None:
    answer = beds(run, studies, *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert len(answer.err.strip().splitlines()) <= 4


def test_the_same_in_python(world: World, studies: Path) -> None:
    with ats.open_index(studies) as index:
        assert list(index.search("beds", text="liver CTCF", k=2)["id"]) == ["study0.bed", "study1.bed"]
        pair = index.search("beds", ["study0.bed", "study5.bed"], k=1)
        assert list(pair["id"]) == ["study1.bed", "study6.bed"]
        grouped = index.search("beds", "study0.bed", group_by="study", k=2, where="n_regions=30")
        assert list(grouped["study"]) == ["s1", "s2"]
        assert list(index.search("beds", "study3.bed", diverse=True, mmr_lambda=1.0, k=3)["id"]) == list(
            index.search("beds", "study3.bed", k=3)["id"]
        )
        assert len(index.search("beds", ["study0.bed", "study5.bed"], centroid=True, k=4, offset=2)) == 4
        chain, old = world.folder / "python.chain", world.folder / "python.bed"
        chain.write_text(CHAIN)
        old.write_text(
            "".join(f"chr1\t{FIRST + STEP * i - SHIFT}\t{FIRST + STEP * i - SHIFT + 99}\n" for i in range(30))
        )
        lifted = index.search("beds", old, k=1, genome="hg19", liftover=chain)
        assert list(lifted["id"]) == ["study0.bed"]
        with pytest.raises(InputError, match="nothing is asked"):
            index.search("beds")
