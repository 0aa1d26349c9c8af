"""The slow, obvious way to read fragments: what the compiled pass must agree with."""

from collections import Counter, defaultdict


def read_slowly(lines, regions, insertions=False, tss=(), blacklist=(), unk=None):
    """Tokens and quality a barcode.

    Args:
        lines: text lines of a fragment file, good ones and bad ones.
        regions: (chrom, start, end) in token order.
        insertions: count the cut sites.
        tss: (chrom, position).
        blacklist: (chrom, start, end).
        unk: token of a fragment that hits nothing.

    Returns:
        (barcode -> list of tokens in file order, barcode -> Counter, number of lines that are skipped).
    """
    tokens, quality, skipped = defaultdict(list), defaultdict(Counter), 0
    for line in lines:
        fragment = parse(line)
        if fragment is None:
            continue
        if fragment == "bad":
            skipped += 1
            continue
        chrom, start, end, barcode = fragment
        parts = [(start, start + 1), (end - 1, end)] if insertions else [(start, end)]
        hit = [
            token
            for token, (c, a, b) in enumerate(regions)
            if c == chrom and any(a < e and s < b for s, e in parts)
        ]
        hit.sort(key=lambda token: (regions[token][1], token))
        tokens[barcode] += hit or ([] if unk is None else [unk])
        count = quality[barcode]
        count["n"] += 1
        count["in"] += bool(hit)
        count["short"] += end - start < 147
        count["mono"] += 147 <= end - start < 294
        count["black"] += any(c == chrom and a < end and start < b for c, a, b in blacklist)
        for site in (start, end - 1):
            for c, at in set(tss):
                if c == chrom:
                    count["window"] += abs(site - at) <= 50
                    count["flank"] += 1901 <= abs(site - at) <= 2000
    return tokens, quality, skipped


def parse(line):
    """(chrom, start, end, barcode), None for a header or blank line, "bad" for what is no fragment."""
    line = line.rstrip("\r\n")
    if not line.strip() or line.startswith("#") or line.split()[0] in ("track", "browser"):
        return None
    fields = line.split("\t")
    if len(fields) < 4 or not fields[0]:
        return "bad"
    chrom, start, end, barcode = fields[:4]
    if not (start.isascii() and start.isdigit() and end.isascii() and end.isdigit()):
        return "bad"
    if not (int(start) < int(end) < 2**31) or barcode in ("", ".", "-", "*", "NO_BARCODE"):
        return "bad"
    return chrom, int(start), int(end), barcode
