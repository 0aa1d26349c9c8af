"""What a figure was measured on: processor, cores, memory, system, versions."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

LIBRARIES = (
    "torch",
    "numpy",
    "scikit-learn",
    "numba",
    "pyarrow",
    "duckdb",
    "qdrant-edge-py",
    "anndata",
    "umap-learn",
)


def machine() -> str:
    """One line: cores, processor, memory, system; and the GPU where torch sees one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{cores} cores of {_processor()}"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GB memory")
    parts.append(f"{platform.system()} {platform.machine()}")
    gpu = _gpu()
    return ", ".join([*parts, gpu] if gpu else parts)


def versions() -> tuple[tuple[str, str], ...]:
    """(name, version) of the product, Python and the libraries that shape the results."""
    from atacsearch._version import __version__

    found = [("atacsearch", __version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        found.append((name, metadata.version(name)))
    return tuple(found)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            for line in handle:
                if line.startswith("model name"):
                    return " ".join(line.partition(":")[2].split())
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def _gpu() -> str | None:
    torch = sys.modules.get("torch")  # asked only where a command has loaded it already
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))
