"""Texts over the Azure OpenAI embeddings protocol in; 1536 numbers a text out, made from its words, on this machine.

    python benchmarks/azure_server.py [--port 8123]

Texts with words in common get vectors with a high cosine, so retrieval over them is a lexical search. A wrong key, path
or version is answered as Azure answers it. Protocol: https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

import argparse
import hashlib
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

from json_server import JsonServer, Request, embedded, refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 1536  # of text-embedding-3-small
PATH = re.compile(r"^/openai/deployments/([^/]+)/embeddings$")


class AzureServer(JsonServer):
    """Answers one deployment to whoever holds the key."""

    def __init__(self, key: str = "local", deployment: str = "text-embedding-3-small", port: int = 0) -> None:
        super().__init__(port)
        self.key, self.deployment = key, deployment
        self.requests, self.texts = 0, 0  # answered

    def answer(self, request: Request, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Vectors, or what Azure says to a request that is wrong."""
        address = urlparse(request.path)
        named = PATH.match(address.path)
        if request.headers.get("api-key") != self.key:
            return refusal(401, "Access denied due to invalid subscription key or wrong API endpoint.")
        if named is None or "api-version" not in parse_qs(address.query):
            return refusal(404, "Resource not found")
        if named[1] != self.deployment:
            return refusal(404, "The API deployment for this resource does not exist.", "DeploymentNotFound")
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            return refusal(400, "'$.input' is invalid.", "invalid_request_error")
        self.requests, self.texts = self.requests + 1, self.texts + len(texts)
        size = int(body.get("dimensions") or DIMENSIONS)
        count = sum(len(text) // 4 + 1 for text in texts)
        return 200, embedded([vector(text, size) for text in texts], body, named[1], count)


def vector(text: str, size: int = DIMENSIONS) -> "NDArray[Any]":
    """The words' own directions added, a word said n times counting sqrt(n); length 1, float32."""
    import numpy as np

    total = np.zeros(size)
    for word, count in Counter(re.findall(r"\w+", text.lower()) or [text]).items():
        total += count**0.5 * _direction(word, size)
    return (total / np.linalg.norm(total)).astype("<f4")


@lru_cache(maxsize=50_000)
def _direction(word: str, size: int) -> "NDArray[Any]":
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8123)
    with AzureServer(port=parser.parse_args().port) as serving:
        print(f"AZURE_OPENAI_ENDPOINT={serving.url} AZURE_OPENAI_API_KEY={serving.key}", flush=True)
        serving.serve_forever()
