"""Chain files and lifting: hand-made chains, a base-by-base reference, and real assemblies there and back."""

import gzip

import numpy as np
import pytest

from atacsearch.errors import InputError
from atacsearch.genome.assemblies import get_assembly
from atacsearch.genome.chain import read_chains
from atacsearch.genome.intervals import Intervals
from atacsearch.genome.liftover import (
    DELETED,
    DUPLICATED,
    LIFTED,
    NO_CHROMOSOME,
    PARTIAL,
    SPLIT,
    STRETCHED,
    lift,
)

# blocks of the first: old 100-200 -> new 1100-1200, gap of 10 in the old and 300 in the new, old 210-300 -> 1500-1590
FORWARD = "chain 900 chrA 1000 + 100 300 chrX 5000 + 1100 1590 1\n100 10 300\n90\n\n"
# new coordinates 0-100 on the reverse strand of 2000 bp are 1900-2000 on the forward one; then a gap of 5 in the new
REVERSE = "chain 800 chrA 1000 + 400 560 chrY 2000 - 0 165 2\n100\t0\t5\n60\n\n"


def chains_of(tmp_path, text, name="aToB.chain", packed=False):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return read_chains(path)


def intervals(*rows):
    return Intervals.from_columns(*zip(*rows, strict=True))


def lifted(chains, *rows, **options):
    done = lift(intervals(*rows), chains, **options)
    x = done.intervals
    found = list(zip(x.names().tolist(), x.start.tolist(), x.end.tolist(), strict=True))
    return found, done


@pytest.mark.parametrize("packed", [False, True])
def test_within_a_block_and_across_a_gap(tmp_path, packed):
    chains = chains_of(tmp_path, "# made by hand\n" + FORWARD + REVERSE, packed=packed)
    found, done = lifted(
        chains, ("chrA", 100, 200), ("chrA", 150, 151), ("chrA", 100, 101), ("chrA", 299, 300)
    )
    assert found == [("chrX", 1100, 1200), ("chrX", 1150, 1151), ("chrX", 1100, 1101), ("chrX", 1589, 1590)]
    assert done.rows.tolist() == [0, 1, 2, 3]
    # 190 of 200 bases are aligned, 95 %; the 300 bases that only the new assembly has lie inside
    found, done = lifted(chains, ("chrA", 100, 300), min_match=0.95)
    assert done.fate.tolist() == [STRETCHED]
    narrow = FORWARD.replace("1590", "1300").replace("10 300", "10 10")
    found, done = lifted(chains_of(tmp_path, narrow, "n.chain"), ("chrA", 100, 300), ("chrA", 101, 300))
    assert found == [("chrX", 1100, 1300)]
    assert done.fate.tolist() == [LIFTED, PARTIAL]  # 189 of 199 are less than 95 %


def test_the_reverse_strand(tmp_path):
    found, _ = lifted(
        chains_of(tmp_path, FORWARD + REVERSE),
        ("chrA", 400, 401),
        ("chrA", 490, 500),
        ("chrA", 490, 510),
        ("chrA", 559, 560),
    )
    assert found == [("chrY", 1999, 2000), ("chrY", 1900, 1910), ("chrY", 1885, 1910), ("chrY", 1835, 1836)]


def test_why_regions_are_lost(tmp_path):
    twice = "chain 7 chrB 1000 + 0 100 chrX 5000 + 0 100 3\n100\n"
    twice += "chain 6 chrB 1000 + 50 150 chrY 2000 + 0 100 4\n100\n"
    found, done = lifted(
        chains_of(tmp_path, FORWARD + REVERSE + twice),
        ("chrC", 5, 9),
        ("chrA", 0, 100),
        ("chrA", 200, 210),
        ("chrA", 80, 200),
        ("chrA", 250, 450),
        ("chrB", 60, 90),
        ("chrB", 60, 110),
        ("chrB", 0, 100),
    )
    expected = [NO_CHROMOSOME, DELETED, DELETED, PARTIAL, SPLIT, DUPLICATED, LIFTED, LIFTED]
    assert done.fate.tolist() == expected
    assert found == [("chrY", 10, 60), ("chrX", 0, 100)]
    assert done.lost == {
        "on chromosomes that the chain file lacks": 1,
        "deleted": 2,
        "partly deleted": 1,
        "split": 1,
        "duplicated": 1,
    }
    assert lift(intervals(("chrA", 0, 5)), chains_of(tmp_path, FORWARD)).lost == {"deleted": 1}


def test_chromosome_names_of_another_style(tmp_path):
    size = get_assembly("hg19").chroms["chr1"]
    text = f"chain 1 1 {size} + 10 20 1 {get_assembly('hg38').chroms['chr1']} + 110 120 1\n10\n"
    chains = chains_of(tmp_path, text)
    assert (chains.old_genome, chains.new_genome) == ("hg19", "hg38")
    assert lifted(chains, ("chr1", 12, 14))[0] == [("1", 112, 114)]


def test_the_name_of_the_file_tells_genomes_without_known_lengths(tmp_path):
    for name, expected in (
        ("danRer10ToDanRer11.over.chain", ("danRer10", "danRer11")),
        ("x.chain", (None, None)),
    ):
        chains = chains_of(tmp_path, FORWARD, name)
        assert (chains.old_genome, chains.new_genome) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\t9\n", "line 1: expected a line that begins with `chain`"),
        ("\n# nothing\n", "holds no chains"),
        (FORWARD.replace("900 chrA", "900"), "line 1: expected `chain score name"),
        (FORWARD.replace("chrA 1000 +", "chrA 1000 -"), "strands - and +"),
        (FORWARD.replace("chrA 1000", "chrA 250"), "outside its chromosome"),
        (FORWARD.replace("\n90", "\n91"), "line 1: the blocks of this chain do not add up"),
        (FORWARD.replace("\n90", ""), "does not end with a single size"),
        (FORWARD.replace("\n90", "") + REVERSE, "line 1: this chain does not end with a single size"),
        (FORWARD.replace("10 300", "10"), "line 2: expected `size gap gap` or a last `size`"),
        (FORWARD.replace("10 300", "x 300"), "line 2: expected `size gap gap`"),
    ],
)
def test_files_that_are_no_chain_files(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        chains_of(tmp_path, text)
    assert str(tmp_path) in str(error.value)


def test_a_gzip_file_that_is_cut_off(tmp_path):
    path = tmp_path / "cut.chain.gz"
    path.write_bytes(gzip.compress(FORWARD.encode())[:-12])
    with pytest.raises(InputError, match="cut off or broken"):
        read_chains(path)
    with pytest.raises(InputError, match="no such file"):
        read_chains(tmp_path / "absent.chain")


def random_chains(rng, n=25, size=4000):
    """Chains that may overlap in the old assembly, on both strands."""
    text = []
    for number in range(n):
        start, blocks = int(rng.integers(0, size // 2)), []
        for _ in range(int(rng.integers(1, 6))):
            blocks.append([int(rng.integers(1, 60)), int(rng.integers(0, 20)), int(rng.integers(0, 20))])
        old = sum(b[0] + b[1] for b in blocks) - blocks[-1][1]
        new = sum(b[0] + b[2] for b in blocks) - blocks[-1][2]
        there = int(rng.integers(0, size - new))
        strand, chrom = "+-"[int(rng.integers(2))], f"chr{int(rng.integers(2))}"
        old_side, new_side = (
            f"{chrom} {size} + {start} {start + old}",
            f"chr9 {size} {strand} {there} {there + new}",
        )
        text.append(f"chain 1 {old_side} {new_side} {number}")
        text += [" ".join(map(str, b)) for b in blocks[:-1]] + [str(blocks[-1][0]), ""]
    return "\n".join(text)


def base_by_base(text):
    """Chain number -> {(chromosome, old base): new base}."""
    maps = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["chain"]:
            chrom, old, new = words[2], int(words[5]), int(words[10])
            size, reverse = int(words[8]), words[9] == "-"
            maps.append({})
        elif words:
            for i in range(int(words[0])):
                maps[-1][chrom, old + i] = size - 1 - new - i if reverse else new + i
            gaps = [int(w) for w in words[1:]] or [0, 0]
            old, new = old + int(words[0]) + gaps[0], new + int(words[0]) + gaps[1]
    return maps


@pytest.mark.parametrize("seed", range(4))
def test_against_a_reference_that_goes_base_by_base(tmp_path, seed):
    rng = np.random.default_rng(seed)
    text = random_chains(rng)
    chains, maps = chains_of(tmp_path, text), base_by_base(text)
    start = rng.integers(0, 3000, 600)
    rows = [(f"chr{i % 2}", int(s), int(s + rng.integers(1, 80))) for i, s in enumerate(start)]
    expected = {}
    for row, (chrom, low, high) in enumerate(rows):
        good = []
        for own in maps:
            there = [own[chrom, base] for base in range(low, high) if (chrom, base) in own]
            if len(there) >= 0.6 * (high - low):
                good.append((min(there), max(there) + 1))
        if len(good) == 1 and good[0][1] - good[0][0] <= 2 * (high - low):
            expected[row] = ("chr9", *good[0])
    found, done = lifted(chains, *rows, min_match=0.6)
    assert dict(zip(done.rows.tolist(), found, strict=True)) == expected
    assert len(expected) > 50
    assert (done.fate == LIFTED).sum() == len(expected)


@pytest.fixture(scope="module")
def over(data_dir):
    folder = data_dir / "annotation"
    return [read_chains(folder / f"{name}.over.chain.gz") for name in ("hg19ToHg38", "hg38ToHg19")]


def test_real_peaks_there_and_back(data_dir, over):
    from atacsearch.readers.bed import read_bed

    up, down = over
    assert (up.old_genome, up.new_genome) == (down.new_genome, down.old_genome) == ("hg19", "hg38")
    peaks = read_bed(data_dir / "bulk/files/factornet.A549.CTCF.hg19.narrowPeak.gz")
    there = lift(peaks, up)
    assert len(there.rows) / len(peaks) > 0.999
    back = lift(there.intervals, down)
    mine = peaks.take(there.rows[back.rows])
    same = (back.intervals.names() == mine.names()) & (back.intervals.start == mine.start)
    same &= back.intervals.end == mine.end
    assert same.mean() > 0.999
    assert len(back.rows) / len(peaks) > 0.999


def test_real_points_as_pyliftover_has_them(data_dir, over):
    pyliftover = pytest.importorskip("pyliftover")
    with gzip.open(data_dir / "annotation/hg19ToHg38.over.chain.gz") as handle:
        peer = pyliftover.LiftOver(handle)
    rng = np.random.default_rng(0)
    chroms = [f"chr{i}" for i in range(1, 23)]
    positions = rng.integers(1e6, 5e7, 3000)
    rows = [(str(c), int(p), int(p) + 1) for c, p in zip(rng.choice(chroms, 3000), positions, strict=True)]
    found, done = lifted(over[0], *rows)
    theirs = {i: hits[0][:2] for i, (c, p, _) in enumerate(rows) if (hits := peer.convert_coordinate(c, p))}
    assert dict(zip(done.rows.tolist(), [f[:2] for f in found], strict=True)) == theirs
    assert len(theirs) > 2500
