"""What several tests share: the checkout's folder, and environments without anybody's keys."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads that wait for a busy core spin

ROOT = Path(__file__).resolve().parents[1]
_KEYS = ("OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_VERSION", "OPENAI_PROXY")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole chain first: it takes longest, and the other workers go on meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_smoke.py")


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without any provider's settings."""
    for name in (*_KEYS, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch
