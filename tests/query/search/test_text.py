"""Free text over labels: folding, BM25 against its formula, prefixes and slips, filters."""

import math

import pytest
from labelled_items import LabelledItems
from rapidfuzz.distance import OSA

from atacsearch.errors import InputError
from atacsearch.query.search.text import match_text, words_of


def files():
    return LabelledItems(
        ["f0", "f1", "f2", "f3", "f4", "f5"],
        tissue=["liver", "Liver, left lobe", "lung", None, "B cells", "CD4+ T cells"],
        target=["CTCF", "H3K27ac", "CTCF", "CTCF", "H3K4me3", "H3K4me1"],
        assay=[
            "TF ChIP-seq",
            "Histone ChIP-seq",
            "TF ChIP-seq",
            "ATAC-seq",
            "Histone ChIP-seq",
            "Histone ChIP-seq",
        ],
        depth=[1, 2, 3, 4, 5, 6],
    )


def ids(text, where=(), kind="cells", **options):
    return match_text(files(), kind, text, where, **options).ids


def test_words_are_folded():
    assert words_of("Naïve CD4+ T-cells (H3K27ac)") == ["naive", "cd4", "t", "cell", "tcell", "h3k27ac"]
    assert words_of("virus analysis class HeLa-S3") == ["virus", "analysis", "class", "hela", "s3", "helas3"]
    assert words_of("a_b.c;γδ") == ["a", "b", "c", "γδ"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CTCF liver", ["f0"]),
        ("liver ctcf", ["f0"]),
        ("LIVER", ["f0", "f1"]),
        ("b cell", ["f4"]),
        ("t cells", ["f5"]),
        ("atacseq", ["f3"]),
        ("atac-seq", ["f3"]),
        ("h3k4", ["f4", "f5"]),
        ("H3K4me2", []),  # one letter from two marks that mean different things
        ("h3k2", []),  # nor is H3K27ac H3K2 with more behind it
        ("livre", ["f0", "f1"]),
        ("histnoe lobe", ["f1"]),
        ("lun", ["f2"]),
        ("lu", []),
    ],
)
def test_what_a_text_finds(text, found):
    assert sorted(ids(text)) == found


def test_items_with_some_words_only_where_none_has_all():
    partly = match_text(files(), "cells", "CTCF lobe")
    assert not partly.complete
    assert partly.ids[0] == "f1"  # lobe is rarer than CTCF
    assert set(partly.ids) == {"f0", "f1", "f2", "f3"}
    assert ids("CTCF lobe", partly=False) == []
    assert match_text(files(), "cells", "CTCF").complete


def test_notes_say_how_words_were_read():
    assert match_text(files(), "cells", "livre").notes == ("'livre' is in no label; read as 'liver'",)
    assert match_text(files(), "cells", "hist").notes == ("'hist' is read as the start of histone",)
    assert match_text(files(), "cells", "xyzzy CTCF").notes == ("'xyzzy' is in no label",)


def test_scores_are_those_of_the_formula():
    items = files()
    texts = [
        " ".join(filter(None, row))
        for row in zip(*(items.labels[c].to_pylist() for c in ("tissue", "target", "assay")), strict=True)
    ]
    documents = [words_of(text) for text in texts]
    mean = sum(map(len, documents)) / 6

    def score(words, document):
        total = 0.0
        for word in words:
            having = sum(word in d for d in documents)
            tf = document.count(word)
            norm = 1.2 * (0.25 + 0.75 * len(document) / mean)
            total += math.log(1 + (6 - having + 0.5) / (having + 0.5)) * tf * 2.2 / (tf + norm)
        return total

    found = match_text(items, "cells", "liver chip")
    expected = {f"f{i}": score(["liver", "chip"], d) for i, d in enumerate(documents)}
    assert found.ids == sorted(found.ids, key=lambda i: -expected[i])
    assert found.score == pytest.approx([expected[i] for i in found.ids], abs=1e-6)
    assert set(found.ids) == {"f0", "f1"}


def test_filters_and_names_of_files():
    assert set(ids("CTCF", ["depth>=3"])) == {"f2", "f3"}
    assert ids("f3") == []
    assert ids("f3", kind="bedfiles") == ["f3"]
    with pytest.raises(InputError, match="depht"):
        ids("CTCF", ["depht>=3"])
    with pytest.raises(InputError, match=r"'\+\+': has no word"):
        ids("++")


def test_equal_scores_come_by_id():
    items = LabelledItems(["c", "a", "b"], kind=["x", "x", "x"])
    assert match_text(items, "cells", "x").ids == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("liver", "liver", 0),
        ("liver", "livre", 1),
        ("liver", "lver", 1),
        ("", "ab", 2),
        ("ca", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_edit_distance(a, b, distance):
    assert OSA.distance(a, b) == OSA.distance(b, a) == distance
