"""The public surface changes only on purpose: `python scripts/public_surface.py --write` keeps a new one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_public_surface_is_as_kept() -> None:
    spec = importlib.util.spec_from_file_location("public_surface", ROOT / "scripts" / "public_surface.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = (ROOT / "tests" / "public_surface.txt").read_text("utf-8")
    assert module.surface() == kept, "changed on purpose? run: python scripts/public_surface.py --write"
