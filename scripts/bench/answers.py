"""Do the commands still answer as they did? Records what a fixed list of commands writes, and compares two records.

`record` runs the commands with the package of `--package-root`. It makes models and indexes with it (cases `own-`),
and asks questions of `shared/`: a copy of these, or of those of an earlier record (`--index-from`). Data: those of
`atacsearch demo`, and a folder with `sc/granja_bmmc.h5ad`, `bulk/labels.tsv` and its files, and `annotation/`.
`compare` wants equal exit codes and files. Terminal tables and stderr may differ; it says where they do.

    python scripts/bench/answers.py record --package-root OLD --out before --data DATA
    python scripts/bench/answers.py record --package-root NEW --out after --index-from before
    python scripts/bench/answers.py compare before after
"""

from __future__ import annotations

# Made anew by each record, one after the other. Two rows of steps run side by side.
OWN = (
    """
demo: demo --out own/demo
""",
    """
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
bulk-regions: index add-regions own/bulk.index --context GM12878
bulk-calibrate: index calibrate own/bulk.index --label assay --group collection --kind beds --format tsv
batch-model: train batch inputs/reference.h5ad --batch donor --label cell_type --epochs 1 -o own/batch.model
pretrain-model: train pretrain @bq --size tiny --epochs 1 --universe own/bulk.model/universe.bed.gz -o own/base.model
bulk-repair: index repair own/bulk.index
bulk-verify: index verify own/bulk.index
""",
)
KEPT = (
    "*.safetensors",
    "*.json",
    "*.jsonl",
    "README.md",
    "universe.bed.gz",
    "shards/*/*.parquet",
    "calibration/*",
)
KEPT_DEMO = (
    "scores.json",
    "*/*.tsv",
    "*/*.parquet",
    "*/universe.bed.gz",
    *(f"*/model/{kept}" for kept in KEPT[:5]),
)
WORDS = {
    "@fq": "shared/demo/forebrain/query.h5ad",
    "@fi": "--index shared/demo/forebrain/index",
    "@pq": "shared/demo/pbmc/fragments.tsv.gz --whitelist shared/demo/pbmc/query.txt",
    "@pi": "--index shared/demo/pbmc/index",
    "@pu": "--universe shared/demo/pbmc/universe.bed.gz",
    "@mi": "--index shared/marrow.index",
    "@bi": "--index shared/bulk.index",
    "@bq": "inputs/queries.tsv",
    "@hepg2": "inputs/bulk/factornet.HepG2.REST.hg19.narrowPeak.gz",
    "@k562": "inputs/bulk/precisetad.K562.hg19.bed.gz",
    "@h1": "inputs/bulk/factornet.H1.EGR1.hg19.narrowPeak.gz",
    "@hg38": "inputs/bulk/ilc3.CD4+_T_cell.H3K27ac.ERX547940.hg38.narrowPeak.gz",
    "@lift": "--liftover inputs/hg38ToHg19.over.chain.gz --genome hg38",
}
# A heading `= NAME: WORDS` says what the words of the cases below begin with.
CASES = """
"""
