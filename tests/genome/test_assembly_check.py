"""The assembly check: generated input for every verdict, and all assembly pairs on real files."""

import csv
import gzip

import numpy as np
import pytest

from atacsearch.errors import GenomeError
from atacsearch.genome import assembly_check
from atacsearch.genome.assemblies import ASSEMBLIES, get_assembly
from atacsearch.genome.assembly_check import (
    PROMOTER_ASSEMBLIES,
    PromoterHits,
    check_assembly,
    read_promoters,
    require_assembly,
)
from atacsearch.genome.intervals import Intervals


def background(genome, n, seed=0):
    """Random peaks of 300 bp on the autosomes."""
    rng = np.random.default_rng(seed)
    chroms = [c for c in get_assembly(genome).chroms if c[3:].isdigit()]
    lengths = np.array([get_assembly(genome).chroms[c] for c in chroms])
    chrom = rng.choice(len(chroms), n, p=lengths / lengths.sum())
    start = (rng.random(n) * (lengths[chrom] - 300)).astype(np.int64)
    return Intervals(tuple(chroms), chrom.astype(np.int32), start, start + 300)


def join(*parts):
    return Intervals.from_columns(
        np.concatenate([p.names() for p in parts]),
        np.concatenate([p.start for p in parts]),
        np.concatenate([p.end for p in parts]),
    )


def peaks_of(genome, share=0.5, n=20_000):
    promoters = read_promoters(genome)
    return join(promoters.take(np.arange(0, len(promoters), round(1 / share))), background(genome, n))


@pytest.mark.parametrize("genome", PROMOTER_ASSEMBLIES)
def test_bundled_promoters_are_sorted_of_one_width_and_inside(genome):
    promoters = read_promoters(genome)
    assert 1000 < len(promoters) <= 1500
    assert set((promoters.end - promoters.start).tolist()) == {500}
    lengths = get_assembly(genome).chroms
    assert all(end < lengths[c] for c, end in zip(promoters.names(), promoters.end, strict=True))


@pytest.mark.parametrize("true", PROMOTER_ASSEMBLIES)
@pytest.mark.parametrize("declared", ASSEMBLIES)
def test_every_pair_of_assemblies(true, declared):
    verdict = check_assembly(peaks_of(true), declared, "x.bed")
    # no promoters of mm39 are bundled, so mm10 cannot be told from it
    unsure = {("mm10", "mm39"): "undecided", (true, true): "agree"}
    expected = unsure.get((true, declared), "refuse")
    assert (verdict.verdict, verdict.best) == (expected, true)
    if expected == "refuse":
        assert verdict.message.startswith(
            f"x.bed: the genome was said to be {declared}, but the data fit {true} ("
        )
        assert f"use --genome {true}" in verdict.message


def test_unknown_genome_is_named_and_names_in_any_style_count():
    peaks = peaks_of("hg19")
    verdict = check_assembly(peaks.rename({c: c[3:] for c in peaks.chroms}), None)
    assert (verdict.verdict, verdict.best, verdict.declared) == ("agree", "hg19", None)
    assert verdict.scores["hg19"] > 50 > 3 > verdict.scores["hg38"]


def test_random_few_and_no_peaks_are_undecided():
    for peaks in (background("hg38", 30_000), background("hg38", 10), background("hg38", 0)):
        verdict = check_assembly(peaks, "hg38")
        assert (verdict.verdict, verdict.best) == ("undecided", None)
    assert "do not tell the genome" in check_assembly(background("hg38", 10), None).message


def test_both_assemblies_in_one_file_are_undecided():
    assert check_assembly(join(peaks_of("hg19"), peaks_of("hg38")), "hg38").verdict in ("agree", "undecided")


def test_windows_of_the_genome_are_never_refused():
    promoters = read_promoters("hg38")
    rng = np.random.default_rng(1)
    for seed in range(20):
        near = promoters.take(rng.choice(len(promoters), 51, replace=False))
        start = np.repeat(near.start - 100_000, 2000) + rng.integers(0, 200_000, 51 * 2000)
        window = Intervals(near.chroms, np.repeat(near.chrom, 2000), start, start + 200)
        assert check_assembly(window, "hg38").verdict != "refuse", seed


def test_very_dense_input_is_thinned_until_it_tells():
    promoters = read_promoters("hg38")
    around = np.repeat(np.arange(len(promoters)), 100)
    dense = join(
        background("hg38", 3_000_000),
        Intervals(promoters.chroms, promoters.chrom[around], promoters.start[around], promoters.end[around]),
    )
    verdict = check_assembly(dense, "hg19")
    assert verdict.verdict == "refuse"
    assert verdict.n < len(dense)


def test_marks_that_avoid_promoters_speak_for_the_assembly():
    peaks = background("hg19", 200_000)
    promoters = read_promoters("hg19")
    from atacsearch.tokens.universe import Universe

    rows, _ = Universe(promoters).overlap(peaks)
    keep = np.ones(len(peaks), bool)
    keep[rows] = False
    verdict = check_assembly(peaks.take(keep), "hg19")
    assert (verdict.verdict, verdict.best) == ("agree", None)
    assert "promoters avoided" in verdict.message


def test_require_raises_where_told_to():
    with pytest.raises(GenomeError, match="but the data fit hg19"):
        require_assembly(peaks_of("hg19"), "hg38", "x.bed", strict=False)
    with pytest.raises(GenomeError, match=r"cannot tell .* refused because of --strict-genome"):
        require_assembly(background("hg38", 100), "hg38", "x.bed", strict=True)
    assert require_assembly(background("hg38", 100), "hg38", "x.bed", strict=False).verdict == "undecided"
    assert require_assembly(background("hg38", 100), None, "x.bed", strict=True).verdict == "undecided"


def test_statistics_of_two_proportions():
    same, more = PromoterHits(10, 10, 100), PromoterHits(60, 10, 100)
    assert (same.odds_ratio, same.z) == (1.0, 0.0)
    assert more.odds_ratio == pytest.approx((60.5 / 40.5) / (10.5 / 90.5))
    assert more.z == pytest.approx(7.7045, abs=1e-4)
    assert PromoterHits(10, 60, 100).z == pytest.approx(-more.z)
    assert PromoterHits(0, 0, 0).z == 0.0


def read_peaks(path):
    rows = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            fields = line.split("\t")
            if len(fields) > 2 and fields[1].isdigit() and fields[2].strip().isdigit():
                rows.append((fields[0], int(fields[1]), int(fields[2])))
    chrom, start, end = zip(*rows, strict=True)
    peaks = Intervals.from_columns(chrom, start, end)
    return peaks.take(peaks.end > peaks.start)


def test_real_bulk_files_under_every_assembly(data_dir):
    with open(data_dir / "bulk" / "labels.tsv") as lines:
        files = list(csv.DictReader(lines, delimiter="\t"))
    files = files[::9] + [row for row in files if row["genome"] != "hg19"]
    agreed = refused = 0
    for row in files:
        peaks = read_peaks(data_dir / "bulk" / row["file"])
        for declared in ASSEMBLIES:
            verdict = check_assembly(peaks, declared, row["file"]).verdict
            assert verdict != ("refuse" if declared == row["genome"] else "agree"), (row["file"], declared)
            agreed += verdict == "agree"
            refused += verdict == "refuse"
    assert agreed > 0.85 * len(files)
    assert refused > 0.8 * 3 * len(files)


def test_real_dirty_files(data_dir):
    with open(data_dir / "bulk" / "dirty" / "labels.tsv") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            peaks = read_peaks(data_dir / "bulk" / row["file"])
            verdict = check_assembly(peaks, row["genome_stated"], row["file"])
            right = row["genome_stated"] == row["genome_true"]
            assert (verdict.verdict, verdict.best) == ("agree" if right else "refuse", row["genome_true"])


@pytest.mark.parametrize("order", ["sorted", "shuffled", "two names"])
def test_hits_are_those_of_comparing_every_pair(order):
    rng = np.random.default_rng(5)
    promoters = read_promoters("hg38")
    start = promoters.start + rng.integers(-3000, 3000, len(promoters))
    intervals = Intervals(promoters.chroms, promoters.chrom, start, start + rng.integers(1, 9000, len(start)))
    if order == "shuffled":
        intervals = intervals.take(rng.permutation(len(start)))
    if order == "two names":
        code = np.where(rng.random(len(start)) < 0.3, np.int32(len(promoters.chroms)), intervals.chrom)
        other = promoters.chroms[0].removeprefix("chr")
        intervals = Intervals(
            (*promoters.chroms, other), code.astype(np.int32), intervals.start, intervals.end
        )
    names = np.array([f"chr{c.removeprefix('chr')}" for c in intervals.chroms])[intervals.chrom]
    windows = promoters.names().astype(str)
    same = windows[:, None] == names
    inside = np.ones(len(promoters), bool)
    hit = []
    for one in assembly_check._promoters("hg38"):
        block = one.start[:, None] // assembly_check._BLOCK == intervals.start // assembly_check._BLOCK
        inside &= (same & block).any(1)
        hit.append(
            (same & (one.start[:, None] < intervals.end) & (one.end[:, None] > intervals.start)).any(1)
        )
    counted = assembly_check._count(assembly_check._Sorted.of(intervals), "hg38")
    assert (counted.hit, counted.shifted) == tuple(int((one & inside).sum()) for one in hit)
    assert counted.n == int(inside.sum())
