"""Published checkpoints by name, through huggingface_hub (the `hub` extra)."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError

FILES = ("config.json", "model.safetensors", "universe.bed.gz")


def fetch_from_hub(name: str) -> Path:
    """Folder of the published model `name` (`owner/model`), downloaded where it is not in the cache.

    Raises:
        InputError: `name` is neither a folder nor a hub name, the extra is missing, or there is no connection;
            the message says what to download and where to put it.
    """
    by_hand = f"download {', '.join(FILES)} of https://huggingface.co/{name} into a folder and give its path"
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise InputError(
            f"{name}: no such folder; expected a checkpoint folder or a hub name such as owner/model"
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise InputError(
            f"{name}: needs huggingface_hub; pip install 'atacsearch[hub]', or {by_hand}"
        ) from None
    import httpx

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=["*.json", "*.safetensors", "universe.bed.gz"], max_workers=2
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: cannot be fetched from the hub ({reason}); {by_hand}") from None
