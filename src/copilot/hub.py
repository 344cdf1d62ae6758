"""A hub name in, a local folder out."""

import os
from pathlib import Path

from copilot.errors import CopilotError

PATIENCE = 10.0  # s that the hub has to answer before the local cache is used alone


def download(name: str, patterns: list[str], patience: float = PATIENCE) -> Path:
    """The hub's files for `name` that match `patterns`, from the cache where they are there already.

    Raises CopilotError when the name does not exist, or is not in the cache and the hub does not answer.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import httpx
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        try:  # snapshot_download by itself waits without end for a hub that accepts and never answers
            HfApi().model_info(name, timeout=patience)
            answers = True
        except (httpx.TransportError, ConnectionError):
            answers = False
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=not answers))
    except HFValidationError:
        raise CopilotError(f"{name}: neither a folder nor a hub name", "mend the model's name in the YAML") from None
    except (LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code < 500:
            status = error.response.status_code
            raise CopilotError(
                f"{name}: the hub answers {status}", "check the name, and HF_TOKEN for a gated model"
            ) from None
        raise CopilotError(
            f"{name}: not in the local cache, and the hub cannot be reached",
            "connect once to download it, name a local folder, or use -c configs/tiny.yaml, which needs no network",
        ) from None
