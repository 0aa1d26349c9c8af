"""Do the commands still answer as they did? Records what a fixed list of commands writes, and compares two records.

`record` runs the commands with the package of `--package-root`. It makes models and indexes with it (cases `own-`)
and asks questions of `shared/`: a copy of these, or of those of an earlier record (`--index-from`). The data are
those of `atacsearch demo` and, in a folder, `sc/granja_bmmc.h5ad`, `bulk/` with `labels.tsv`, and `annotation/`.
`compare` wants equal exit codes and files. Terminal tables and stderr may differ; it says where they do.

    python scripts/bench/answers.py record --package-root OLD --out before --data DATA
    python scripts/bench/answers.py record --package-root NEW --out after --index-from before
    python scripts/bench/answers.py compare before after
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

# Made anew by each record, in this order; the demo runs beside it.
OWN = """
marrow-model: train celltype inputs/reference.h5ad --label cell_type --batch donor -o own/marrow.model
marrow-index: index create own/marrow.index --model own/marrow.model --genes inputs/genes.bed.gz
marrow-cells: index add-cells own/marrow.index inputs/reference.h5ad
marrow-again: index add-cells own/marrow.index inputs/reference.h5ad
marrow-replace: index add-cells own/marrow.index inputs/reference.h5ad --replace
marrow-beds: index add-beds own/marrow.index @hepg2 @k562 @h1 --labels inputs/labels.tsv
marrow-regions: index add-regions own/marrow.index --context B --context NK --context GMP
bulk-model: train bulk inputs/manifest.tsv --label cell_type,assay --group collection --genome hg19 -o own/bulk.model
bulk-index: index create own/bulk.index --model own/bulk.model --genes inputs/genes.bed.gz
bulk-beds: index add-beds own/bulk.index inputs/manifest.tsv
bulk-regions: index add-regions own/bulk.index --context GM12878 --context H1 --context colon
calibrate: index calibrate own/bulk.index --label assay --group collection --kind beds --format tsv
batch-model: train batch inputs/reference.h5ad --batch donor --label cell_type --epochs 1 -o own/batch.model
base-model: train pretrain @bq --size tiny --epochs 1 --universe own/bulk.model/universe.bed.gz -o own/base.model
repair: index repair own/bulk.index || verify: index verify own/bulk.index
"""
# What is kept of the models and indexes that they made.
KEPT = [
    "*.safetensors",
    "*.json",
    "*.jsonl",
    "*.md",
    "universe.bed.gz",
    "shards/*/*.parquet",
    "calibration/*",
]
KEPT += ["*/*.tsv", "*/*.parquet", "*/model/*", "*/index/shards/*/*.parquet"]  # of the demo
WORDS = {
    "@fq": "shared/demo/forebrain/query.h5ad",
    "@fi": "--index shared/demo/forebrain/index",
    "@cell": "p56_rep2_GAGATTCCTCTATCCGTTCATCCATATAGCCT",
    "@stored": "reference#p56_rep1_TCCGGAGATACGCTGCTCTCTCCGTATAGCCT",
    "@pq": "shared/demo/pbmc/fragments.tsv.gz --whitelist shared/demo/pbmc/query.txt",
    "@pi": "--index shared/demo/pbmc/index",
    "@pu": "--universe shared/demo/pbmc/universe.bed.gz",
    "@mi": "--index shared/marrow.index",
    "@m": "inputs/markers.tsv",
    "@bi": "--index shared/bulk.index",
    "@bu": "--universe shared/bulk.model/universe.bed.gz",
    "@bq": "inputs/queries.tsv",
    "@hepg2": "inputs/bulk/factornet.HepG2.REST.hg19.narrowPeak.gz",
    "@k562": "inputs/bulk/factornet.K562.TAF1.hg19.narrowPeak.gz",
    "@h1": "inputs/bulk/factornet.H1.EGR1.hg19.narrowPeak.gz",
    "@hg38": "inputs/bulk/ilc3.CD4+_T_cell.H3K27ac.ERX547940.hg38.narrowPeak.gz",
    "@lift": "--liftover inputs/hg38ToHg19.over.chain.gz --genome hg38",
}
# `= NAME: WORDS` says what the cases below it begin with; `--format tsv` is understood. Then `CASE: WORDS || ...`.
CASES = """
= fore: annotate @fq @fi --label celltype
tsv: || json: --format json --by neighbours || parquet: --coverage 0.9 -o @out.parquet
h5ad: --doublets --coverage 0.9 -o @out.h5ad || k5: --by neighbours -k 5 || only: --only MG --only OC --only AC
except: --by neighbours --except EX1 --except EX2 || unknown: --false-unknown 0.2 --min-confidence 0.7
where: --by neighbours --where 'celltype in (MG, OC, EX3)' --doublets || explain: --explain @cell --explain-bed @out.bed
explain-json: --by neighbours --explain @cell -k 8 --format json
= pbmc: annotate @pq @pi --label celltype
tsv: || json: --format json --coverage 0.8 || neighbours: --by neighbours --where n_fragments>=20
fragments: --min-fragments 200 --counting fragment --sample new
quality: --tss inputs/tss.bed.gz --blacklist inputs/blacklist.bed.gz --genome hg38 -o @out.parquet
= marrow: annotate inputs/query.h5ad @mi
tsv: --label cell_type || h5ad: --label cell_type --ontology --markers @m --clusters Clusters --same-group -o @out.h5ad
head: --label cell_type --same-group --coverage 0.95 --by head
two: --label cell_type --label Clusters --coverage 0.9 --doublets --format json
all: --label cell_type --ontology --doublets --clusters Clusters --markers @m --coverage 0.9 -o @out.parquet
ontology: --label cell_type --ontology --ontology-confidence 0.5
where: --label cell_type --where 'donor=D5T1 and cell_type in (B, NK, GMP)' || beds: --reference beds --label assay
= bulk: annotate @bi --label
two: cell_type --label assay @bq --genome hg19 || json: cell_type --coverage 0.8 @bq --format json
parquet: target -k 4 @bq -o @out.parquet || explain: assay @bq --explain bulk/factornet.H1.EGR1.hg19.narrowPeak.gz
liftover: cell_type @hg38 @lift
same-group: assay @bq --same-group --strict-genome --where 'collection!=precisetad_gm12878_tf'
= cells: search cells
one: @fq --item @cell @fi -k 8 --columns celltype || many: @fq @fi -k 3 -o @out.parquet
vector: @fq --item @cell @fi --vector celltype --format json || stored: @stored @fi -k 4 --offset 4
centroid: @fq --centroid @fi -k 12 || group-by: @fq --item @cell @fi --group-by celltype
diverse: @fq --item @cell @fi --diverse --mmr-lambda 0.3
overlap: @fq --item @cell @fi --rank overlap --candidates 300
fused: @fq --item @cell @fi --rank fused --background indexed --format json
statistics: @fq --item @cell @fi --statistics || text: --text MG @fi
where: @pq --item AAACAGCCAAGGAATC-1 @pi --where n_fragments>=100 --where 'celltype in (NK, MAIT)'
table: @fq --item @cell @fi --format table || bed: @h1 @mi --genome hg19 -k 4
= beds: search beds @bi
several: @hepg2 @k562 @h1 -k 5 || manifest: @bq -k 3 --columns all -o @out.parquet
vector: @bq --vector cell_type -k 3 --columns cell_type,assay --format json || centroid: @hepg2 @k562 --centroid
overlap: @hepg2 --rank overlap || fused: @k562 --rank fused --background indexed --statistics
group-by: @h1 --group-by collection --statistics || diverse: @h1 --diverse -k 6
where: @h1 --where 'assay="TF ChIP-seq" and n_regions<10000' || text: --text 'GM12878 YY1'
text-query: @h1 --text kidney || liftover: @hg38 @lift -k 7
stored: bulk/factornet.K562.SRF.hg19.narrowPeak.gz --offset 2 -k 4 || cell: inputs/query.h5ad --item BMM_R1_16
region: chr19:42,380,000-42,390,000
= regions: search regions
enhancer: chr18:61,108,408-61,108,907 --context MG --where context=MG @fi -k 8
all: chr3:31,166,301-31,166,800 @fi -k 5 --format json || genes: GAPDH MYC @bi -k 3 -o @out.parquet
centroid: GAPDH @bi --centroid --diverse --mmr-lambda 0.7 || group-by: GAPDH @bi --group-by chrom --where n_items>=2
offset: CD3E @mi -k 3 --offset 3 || bed: inputs/regions.bed @bi -k 2
= overlap: overlap
string: chr18:61,108,408-61,108,907 @fi --by celltype --all || gene: GAPDH @bi
together: GAPDH @bi --in beds --together --columns cell_type,assay -k 6 --format json
bed: inputs/regions.bed @bi --in beds --in regions -o @out.parquet
bed-together: @h1 @bi --strict-genome --in beds --together --by cell_type
where: MYC @bi --in beds --by id --where 'assay="TF ChIP-seq"' || liftover: inputs/regions38.bed @lift @bi --by assay
cells: CD3E @mi --in cells --in regions --by cell_type --all
= compare: compare
types: celltype=MG celltype=OC @fi || rest: celltype=MG rest @fi -k 20 --format json
bed: celltype=EX1 celltype=EX3 @fi -o @out.bed
strict: 'celltype in (EX1, EX2)' 'celltype in (IN1, IN2)' @fi --min-difference 0.2 --q 0.001 -o @out.parquet
items: bulk/factornet.K562.SRF.hg19.narrowPeak.gz bulk/factornet.HepG2.ATF3.hg19.narrowPeak.gz @bi -k 50
file: @h1 'assay="TF ChIP-seq"' --in beds @bi --min-difference 0.5 --q 1 -k 40
beds: cell_type=kidney rest --in beds @bi --q 1 -k 40 -o @out.bed
liftover: @hg38 cell_type=GM12878 @lift --in beds @bi --q 1 -k 20 || contexts: MG OC @fi -k 30
table: celltype=MG celltype=AC @fi -k 5 --format table
= universe: universe
beds: build @hepg2 @k562 @h1 --genome hg19 -o @out.bed.gz
widths: build @hepg2 @h1 --genome hg19 --max-regions 5000 --min-width 300 --max-width 600 -o @out.bed
h5ad: build inputs/query.h5ad -o @out.bed.gz || info: info shared/demo/pbmc/universe.bed.gz --format json
info-tsv: info shared/bulk.model/universe.bed.gz --format tsv
= tokens: tokenize -o @out.parquet
fragments: @pq @pu || insertions: @pq @pu --counting insertion --min-fragments 50 --sample s
beds: @hepg2 @k562 @bu --genome hg19 || manifest: @bq @bu || gtars: @h1 @bu --parity gtars
h5ad: inputs/query.h5ad --universe shared/marrow.model/universe.bed.gz --strict-genome || liftover: @hg38 @lift @bu
defects: inputs/bad/header.bed.gz inputs/bad/line.bed @bu
= embed: embed -o @out.parquet
cells: @fq --model shared/demo/forebrain/model || fragments: @pq --model shared/demo/pbmc/model --vector celltype
beds: @bq --model shared/bulk.model --vector assay || regions: @h1 --model shared/bulk.model --level region
bfloat16: inputs/query.h5ad --model shared/marrow.model --dtype bfloat16
= index: index
status: status shared/bulk.index --format json || status-tsv: status shared/marrow.index --format tsv
verify: verify shared/marrow.index
= own:
annotate: annotate inputs/query.h5ad --index own/marrow.index --label cell_type --same-group
bulk: annotate @bq --index own/bulk.index --label cell_type --label assay
embed: embed @fq --model own/demo/forebrain/model -o @out.parquet
batch: embed inputs/query.h5ad --model own/batch.model -o @out.parquet
base: embed @bq --model own/base.model -o @out.parquet || status: index status own/bulk.index --format json
= wrong:
command: anotate @fq || label: annotate @fq @fi --label celtype
only: annotate @fq @fi --label celltype --only Microglia || coverage: annotate @fq @fi --label celltype --coverage 2
head: annotate @fq @fi --label sample --by head || clusters: annotate @fq @fi --label celltype --clusters louvain
ontology: annotate @bq @bi --label cell_type --ontology || doublets: annotate @bq @bi --label assay --doublets
explain: annotate @fq @fi --label celltype --explain nobody || h5ad-out: annotate @h1 @bi --label assay -o @out.h5ad
genome: annotate inputs/query.h5ad @fi --label celltype
model: annotate @fq @fi --label celltype --model shared/marrow.model
missing: annotate inputs/nothing.h5ad @fi --label celltype || hg38: search beds @hg38 @bi --genome hg38
strict: search beds inputs/bad/wrong.bed.gz @bi --genome hg19 --strict-genome
where: search cells @fq @fi --where 'celltype ~ MG' || column: search cells @fq @fi --where tissue=brain
columns: search cells @fq @fi --columns colour || vector: search cells @fq @fi --vector donor
item: search cells @fq --item nobody @fi || group-by: search beds @h1 @bi --group-by study
no-index: search cells @fq --index inputs || cut: search beds inputs/bad/cut.bed.gz @bi
empty: search beds inputs/bad/empty.bed @bi
chain: search beds @hg38 --liftover inputs/bad/empty.bed @bi --genome hg38 || gene: search regions NOGENE1 @bi
region: search regions chr1:1-100 @bi || context: search regions GAPDH --context liver @bi
chromosome: overlap chr99:1-100 @bi || by: overlap GAPDH @bi --by colour || compare: compare celltype=MG celltype=XX @fi
rest: compare rest rest @fi || text: tokenize inputs/bad/text.h5ad @pu -o @out.parquet
lines: tokenize inputs/bad/lines.bed @pu -o @out.parquet
universe: tokenize @fq --universe inputs/bad/empty.bed -o @out.parquet
train: train celltype inputs/reference.h5ad --label colour -o own/none.model
"""
TYPES = ("GM12878", "HepG2", "H1", "HeLa-S3", "K562", "MCF-7", "kidney", "liver", "ovary", "colon")
TERMS = {
    "B": "CL:0000236",
    "NK": "CL:0000623",
    "GMP": "CL:0000557",
    "HSC": "CL:0000037",
    "Pre.B": "CL:0000817",
}
TERMS |= {
    "CD14.Mono.1": "CL:0001054",
    "CD14.Mono.2": "CL:0001054",
    "CD4.M": "CL:0000624",
    "CD8.CM": "CL:0000625",
}
TEXTS = {
    "markers.tsv": "cell_type\tgene\nB\tLAPTM5\nNK\tRUNX3\nGMP\tFHL3\nCD4.M\tCD3E\nCD8.CM\tCD3E\nHSC\tNOGENE\n",
    "regions.bed": "chr12\t6642656\t6644657\nchr8\t128747000\t128749000\nchr1\t5\t9\n",
    "regions38.bed": "chr12\t6533490\t6535491\nchr8\t127734754\t127736754\n",
    "bad/line.bed": "chr1\t157489434\t157489634\r\nchr1\tx\t9\r\nchr1\t9\t5\r\n",
    "bad/lines.bed": "chr1\tx\nno\tbed\n",
    "bad/text.h5ad": "no h5ad\n",
    "bad/empty.bed": "",
}
FILES = {
    "annotation/refseq_tss_old.hg19.bed.gz": "genes.bed.gz",
    "annotation/refseq_tss_old.hg38.bed.gz": "tss.bed.gz",
    "annotation/hg38-blacklist.v2.bed.gz": "blacklist.bed.gz",
    "annotation/hg38ToHg19.over.chain.gz": "hg38ToHg19.over.chain.gz",
    "bulk/files/ilc3.CD4+_T_cell.H3K27ac.ERX547940.hg38.narrowPeak.gz": "bulk",
    "bulk/dirty/header_line.03_srf.hg19.bed.gz": "bad/header.bed.gz",
    "bulk/dirty/wrong_genome.kidney.H3K27ac.ENCFF926MNC.bed.gz": "bad/wrong.bed.gz",
}
# Left out of what a record makes itself and of `index status`, as are dates in text.
VOLATILE = {"added", "bytes", "created", "index_id", "machine", "part_bytes", "path", "published", "seconds"}
VOLATILE |= {"shard_bytes", "time", "tokens_per_second"}
TOLERANCE = 1e-5  # between numbers of two trainings


def prepare(data: Path, folder: Path) -> None:
    """Cut the inputs from the data folder: cells of two libraries, BED files to index and to ask with, bad files."""
    import anndata

    for new in (folder / "bulk", folder / "bad"):
        new.mkdir(parents=True)
    cells = anndata.read_h5ad(data / "sc" / "granja_bmmc.h5ad")
    cells.obs["donor"] = cells.obs["batch"]
    cells.obs["cell_type_ontology_term_id"] = cells.obs["cell_type"].astype(str).map(TERMS).astype(object)
    one, two = (np.flatnonzero(cells.obs["batch"] == name) for name in ("D5T1", "D6T1"))
    chosen = {"reference": np.r_[one[::3], two[::10]], "query": np.r_[one[1::30], two[5::40]]}
    for name, rows in chosen.items():
        columns = ["donor", "Clusters"] + ["cell_type", "cell_type_ontology_term_id"] * (name == "reference")
        part = anndata.AnnData(cells.X[rows], obs=cells.obs.iloc[rows][columns], var=cells.var[[]])
        part.uns["genome"] = "hg19"
        part.write_h5ad(folder / f"{name}.h5ad")
    columns = ["cell_type", "assay", "target", "collection"]
    tables = {"manifest.tsv": [["file", *columns]], "queries.tsv": [["file"]]}
    tables["labels.tsv"] = [["item", *columns]]
    with (data / "bulk" / "labels.tsv").open(newline="") as lines:
        files = list(csv.DictReader(lines, delimiter="\t"))
    files.sort(key=lambda row: (int(row["n_regions"]), row["file"]))
    seen: Counter[str] = Counter()  # of each cell type: the third smallest file asks, four others are indexed
    for row in files:
        if row["genome"] == "hg19" and row["cell_type"] in TYPES and int(row["n_regions"]) > 2000:
            seen[row["cell_type"]] += 1
            labels = [row[column] for column in columns]
            item = f"bulk/{Path(row['file']).name}"
            if seen[row["cell_type"]] == 3:
                tables["queries.tsv"].append([item])
                tables["labels.tsv"].append([f"inputs/{item}", *labels])
            elif seen[row["cell_type"]] < 6:
                tables["manifest.tsv"].append([item, *labels])
            if seen[row["cell_type"]] < 6:
                shutil.copy(data / "bulk" / row["file"], folder / "bulk")
    for name, table in tables.items():
        (folder / name).write_text("".join("\t".join(line) + "\n" for line in table))
    for name, text in TEXTS.items():
        (folder / name).write_text(text, newline="")
    for source, target in FILES.items():
        shutil.copy(data / source, folder / target)
    (folder / "bad/cut.bed.gz").write_bytes((folder.parent / WORDS["@h1"]).read_bytes()[:30_000])


def run(root: Path, out: Path, name: str, words: str) -> None:
    """Run one case and keep what it says beside the files that it writes."""
    full = re.sub(r"@[a-z]\w*", lambda found: WORDS.get(found[0], found[0]), words)
    line = shlex.split(full.replace("@out", f"../cases/{name}/out"))
    if line[0] in {"annotate", "search", "overlap", "compare"} and not {"--format", "-o"} & set(line):
        line += ["--format", "tsv"]
    form = line[line.index("--format") + 1] if "--format" in line else "txt"
    folder = out / "cases" / name
    folder.mkdir(parents=True)
    code = "import sys; from atacsearch.cli import main; sys.exit(main())"
    env = os.environ | {"PYTHONPATH": str(root), "COLUMNS": "120", "OMP_WAIT_POLICY": "PASSIVE"}
    with (folder / f"stdout.{form}").open("wb") as said, (folder / "stderr.txt").open("wb") as told:
        whole = [sys.executable, "-c", code, *line]
        done = subprocess.run(whole, cwd=out / "work", stdout=said, stderr=told, env=env, check=False)
    (folder / "exit.txt").write_text(f"{done.returncode}\n")
    (folder / "words.txt").write_text(shlex.join(line) + "\n")


def record(root: Path, out: Path, data: str | None, earlier: Path | None) -> None:
    """Record all cases in the folder `out`, which must be new."""
    began, root, out = time.perf_counter(), root.resolve(), out.resolve()
    if not (root / "atacsearch").is_dir():
        sys.exit(f"{root}: holds no package atacsearch")
    work = out / "work"
    (work / "own").mkdir(parents=True)
    known = [str(work)]  # folders that paths in answers may begin with
    if earlier is not None:
        for part in ("inputs", "shared"):
            shutil.copytree(earlier / "work" / part, work / part)
        known += (earlier / "folders.txt").read_text().splitlines()
    elif data is not None:
        prepare(Path(data), work / "inputs")
    else:
        sys.exit("say where the data are: --data, ATACSEARCH_DATA, or --index-from an earlier record")
    (out / "folders.txt").write_text("\n".join(known))

    def steps(lines: list[str]) -> None:
        for line in lines:
            name, _, words = line.partition(": ")
            run(root, out, f"own-{name}", words)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(steps, (["demo: demo --out own/demo"], re.split(r"\n| \|\| ", OWN.strip()))))
        for path in {path for kept in KEPT for path in (work / "own").glob(f"*/{kept}") if path.is_file()}:
            target = out / "cases" / f"own-{path.relative_to(work / 'own')}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        if earlier is None:
            shutil.copytree(work / "own", work / "shared")
        asked, heading, words = [], "", ""
        for part in re.split(r"\n| \|\| ", CASES.strip()):
            name, _, rest = part.partition(":")
            if name.startswith("= "):
                heading, words = name[2:], rest
            else:
                asked.append((f"{heading}-{name}", f"{words} {rest}"))
        list(pool.map(lambda case: run(root, out, *case), asked))
    print(f"{len(list((out / 'cases').iterdir()))} cases in {time.perf_counter() - began:.0f} s: {out}")


def stable(value: Any) -> Any:
    """JSON without what differs from run to run."""
    if isinstance(value, dict):
        return {key: stable(part) for key, part in value.items() if key not in VOLATILE}
    return [stable(part) for part in value] if isinstance(value, list) else value


def text(raw: bytes, folders: list[bytes], own: bool) -> list[Any]:
    """Lines without the names of the records' folders; of what a record makes without times too, JSON as values."""
    for folder in folders:
        raw = raw.replace(folder + b"/", b"")
    if not own:
        return raw.splitlines(keepends=True)
    if raw.startswith(b"path\t"):  # `index status` as TSV: a line of names and one of values
        pairs = zip(*(line.split("\t") for line in raw.decode().splitlines()), strict=True)
        return [pair for pair in pairs if pair[0].rpartition(".")[2] not in VOLATILE]
    try:
        return [stable(json.loads(raw))]
    except ValueError:
        lines = re.sub(rb"\d{4}-\d\d-\d\d", b"DATE", raw).splitlines(keepends=True)
    return [stable(json.loads(line)) if line.startswith(b'{"') else line for line in lines]


def content(path: Path, folders: list[bytes], own: bool) -> Any:
    """What a file says, as something that `gap` compares."""
    if path.suffix == ".h5ad":
        import anndata

        cells = anndata.read_h5ad(path)
        return {part: getattr(cells, part) for part in ("obs", "var", "X", "obsm", "layers", "uns")}
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(path)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        notes = {str(key): text(note, folders, own) for key, note in (table.schema.metadata or {}).items()}
        return {"schema": [str(field) for field in table.schema], "metadata": notes} | {
            f"column {name}": table[name] for name in table.column_names
        }
    return text(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes(), folders, own
    )


def gap(a: Any, b: Any) -> tuple[float, str]:
    """How far two values are apart (numbers by their difference, all else infinitely), and where most, at first."""
    if hasattr(a, "keys") and hasattr(b, "keys") and hasattr(a, "dtypes"):
        types = [x.dtypes.astype(str).to_dict() for x in (a, b)]
        a, b = (
            {"types": t, "rows": list(x.index), **x.to_dict("list")}
            for t, x in zip(types, (a, b), strict=True)
        )
    if hasattr(a, "keys") and hasattr(b, "keys"):
        if list(a.keys()) != list(b.keys()):
            return math.inf, f"names: {sorted(set(a) ^ set(b)) or 'in another order'}"
        parts = [(f"{key}: ", *gap(a[key], b[key])) for key in a]
    elif isinstance(a, list) and isinstance(b, list):
        parts = [(f"row {n}: ", *gap(x, y)) for n, (x, y) in enumerate(zip(a, b, strict=False), 1)]
        parts += [("", math.inf, f"{len(a)} rows against {len(b)}")] * (len(a) != len(b))
    elif type(a) is not type(b):
        return math.inf, f"{type(a).__name__} against {type(b).__name__}"
    elif hasattr(a, "to_pylist"):
        return (0.0, "") if a.equals(b) else gap(a.to_pylist(), b.to_pylist())
    elif hasattr(a, "toarray"):
        return gap(a.toarray(), b.toarray())
    elif isinstance(a, np.ndarray):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return math.inf, f"{a.dtype} {a.shape} against {b.dtype} {b.shape}"
        return (0.0, "") if a.dtype != object and a.tobytes() == b.tobytes() else gap(a.tolist(), b.tolist())
    else:
        same = a is b or a == b or (a != a and b != b)
        far = 0.0 if same else abs(a - b) if isinstance(a, float) else math.inf
        return (0.0, "") if same else (math.inf if math.isnan(far) else far, f"{a!r:.150} against {b!r:.150}")
    worst = max(parts, key=lambda part: part[1], default=("", 0.0, ""))
    return worst[1], worst[0] + worst[2] if worst[1] else ""


def compare(a: Path, b: Path) -> int:
    """Compare two records case by case; 1 where anything differs that must not, else 0."""
    folders = [(side / "folders.txt").read_bytes().splitlines() for side in (a, b)]
    names = sorted({path.name for side in (a, b) for path in (side / "cases").iterdir()})
    count: Counter[str] = Counter()
    for name in names:
        own, found, verdict = name.startswith(("own-", "index-status")), [], "same"
        sides = [side / "cases" / name for side in (a, b)]
        for file in sorted({p.relative_to(side) for side in sides for p in side.rglob("*") if p.is_file()}):
            there = [(side / file).is_file() for side in sides]
            if not all(there):
                far, where = math.inf, f"only in {(a, b)[there.index(True)]}"
            else:
                both = [content(side / file, known, own) for side, known in zip(sides, folders, strict=True)]
                far, where = gap(*both)
            allowed = str(file) in {"stderr.txt", "stdout.table"} or (own and far <= TOLERANCE)
            if far:
                size = f" by {far:.2g}" if math.isfinite(far) else ""
                found.append(f"\n    {file} differs{' (allowed)' * allowed}{size}: {where}")
                verdict = verdict if allowed else "DIFFERS"
        count[verdict] += 1
        count["allowed"] += bool(found) and verdict == "same"
        print(f"{verdict:7} {name}{''.join(found)}")
    print(f"{len(names)} cases: {count['DIFFERS']} differ, {count['same']} are the same,", end=" ")
    print(f"{count['allowed']} of these but for stderr, terminal tables or numbers of two trainings")
    return int(count["DIFFERS"] > 0)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run the commands and keep what they write")
    recording.add_argument("--package-root", type=Path, required=True, help="folder that holds the package")
    recording.add_argument("--out", type=Path, required=True, help="folder to make")
    recording.add_argument("--data", default=os.environ.get("ATACSEARCH_DATA"), help="folder of real data")
    recording.add_argument("--index-from", type=Path, help="earlier record whose indexes are asked")
    comparing = commands.add_parser("compare", help="compare two records")
    for side in ("before", "after"):
        comparing.add_argument(side, type=Path)
    asked = parser.parse_args()
    if asked.command == "compare":
        return compare(asked.before, asked.after)
    record(asked.package_root, asked.out, asked.data, asked.index_from)
    return 0


if __name__ == "__main__":
    sys.exit(main())
