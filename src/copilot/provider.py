"""A remote provider's settings in; what would be contacted, its client's options, and its failures as sentences out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pydantic import SecretStr

from copilot.errors import CopilotError, first_line

TIMEOUT = 60.0  # s that a provider has to answer; its client tries three times
REMEDY = "check key, endpoint and deployment name, then run the same command again"


class Settings(Protocol):
    """The keys of the YAML that name a provider."""

    @property
    def endpoint(self) -> str | None:
        """Its base URL."""
        ...

    @property
    def api_version(self) -> str | None:
        """Azure's."""
        ...

    @property
    def api_key(self) -> SecretStr | None:
        """Its key."""
        ...


def endpoint_of(provider: str, settings: Settings) -> str:
    """The address that `azure_openai` or `openai` would be reached at."""
    if provider == "azure_openai":
        return settings.endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT") or "AZURE_OPENAI_ENDPOINT (not set)"
    given = [settings.endpoint, os.environ.get("OPENAI_API_BASE"), os.environ.get("OPENAI_BASE_URL")]
    return next((url for url in given if url), "https://api.openai.com/v1")


def client_options(name: str, settings: Settings) -> dict[str, Any]:
    """What langchain's client of `provider:name` is opened with.

    Raises CopilotError that names every setting which neither the YAML nor the environment holds.
    """
    provider = name.partition(":")[0]
    _refuse_missing(name, provider, settings)
    options: dict[str, Any] = {"timeout": TIMEOUT}
    if settings.api_key is not None:
        options["api_key"] = settings.api_key.get_secret_value()
    if provider == "azure_openai":
        options["base_url"] = None  # OPENAI_API_BASE is another provider's
        options |= {"azure_endpoint": settings.endpoint} if settings.endpoint else {}
        options |= {"api_version": settings.api_version} if settings.api_version else {}
    else:
        options["base_url"] = endpoint_of(provider, settings)
    return options


def _refuse_missing(name: str, provider: str, settings: Settings) -> None:
    wanted: list[tuple[object, tuple[str, ...]]] = [(settings.api_key, ("OPENAI_API_KEY",))]
    if provider == "azure_openai":
        keys = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")
        wanted = [(settings.api_key, keys), (settings.endpoint, ("AZURE_OPENAI_ENDPOINT",))]
    missing = [names[0] for given, names in wanted if not given and not any(os.environ.get(n) for n in names)]
    if missing:
        raise CopilotError(
            f"{name} needs {' and '.join(missing)}, which the environment does not hold",
            f"export {' '.join(f'{variable}=...' for variable in missing)}",
        )


@contextmanager
def failures(where: str, what: str) -> Iterator[None]:
    """The provider's failures inside the block as one sentence: `where` gives no `what`, and why."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        why = str(body.get("message") or error.message).strip().splitlines()[0]
        remedy = "wait a minute, then run the same command again" if error.status_code == 429 else REMEDY
        raise CopilotError(f"{where} answers {error.status_code}: {why}", remedy) from None
    except (openai.OpenAIError, ValueError, KeyError, TypeError) as error:
        raise CopilotError(f"{where} gives no {what}: {first_line(error)}", REMEDY) from None
