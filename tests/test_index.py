"""Documents to an index on the disk and back: what is found, what the manifest says, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from copilot.config import Config, Retriever
from copilot.config_file import load_config
from copilot.errors import CopilotError, Exit, StaleError
from copilot.knowledge.index import Index
from copilot.knowledge.retriever import IndexRetriever
from copilot.opened import open_retriever
from copilot.pipeline import run_index
from copilot.runs import sha256_file
from copilot.types import Chunk, Hit
from copilot.work import Work

DOCUMENTS = {
    "lamps.md": "# Lamps\n\nA lamp gives light.\n\n## Switch on\n\n`PUT /lamps/on` lights the lamp.\n",
    "doors.md": "# Doors\n\nA door keeps the wind out.\n\n## Open\n\n`PUT /doors/open` opens the door.\n",
    "bells/bells.txt": "Bells\n=====\n\nA bell rings. `POST /bells/ring` rings the bell.\n",
}


class Letters:
    """A real embedder of 26 numbers: how often each letter stands in the text."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.batches.append(texts)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)


class Console:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[..., None]]:
        yield lambda n, note="": None


def chunk(text: str, heading: str = "Doc › Part") -> Chunk:
    return Chunk("a.md", "Doc", heading, None, 0, len(text), text)


CHUNKS = [chunk("zzzz zzzz"), chunk("eeee\u2028eeee \x85 é"), chunk("aaaa"), chunk("zz aa", "")]


def build() -> Index:
    return Index.build(CHUNKS, Letters(), batch=2)


def make_project(folder: Path) -> Config:
    for name, text in DOCUMENTS.items():
        file = folder / "kb" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "copilot.yaml").write_text("documents: {paths: [kb]}\nembeddings: {model: 'offline:all-MiniLM-L6-v2'}\n")
    return load_config(folder / "copilot.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its index, to be copied."""
    folder = tmp_path_factory.mktemp("built")
    run_index(make_project(folder), Console())
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "project")
    return tmp_path / "project"


def opened(project: Path, *sets: str) -> Config:
    return load_config(project / "copilot.yaml", list(sets))


def found(index: Index, question: str, k: int, mode: Literal["hybrid", "dense", "lexical"] = "dense") -> list[Hit]:
    return IndexRetriever(index, Letters(), Retriever(k=k, mode=mode))(question)


def test_search_gives_cosines_best_first() -> None:
    letters, index = Letters(), build()
    hits = found(index, "zzzzz", 3)
    assert [h.chunk for h in hits][:2] == [CHUNKS[0], CHUNKS[3]]
    scores = [h.score for h in hits]
    assert scores == sorted(scores, reverse=True) and 0 <= scores[-1] <= scores[0] <= 1
    one, two = (np.array(letters.embed_query(text)) for text in ("zzzzz", CHUNKS[0].passage))
    assert scores[0] == pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-6)
    assert len(found(index, "z", 99)) == 4
    assert index.cosines([0.0] * 26).tolist() == [0, 0, 0, 0]


def test_the_passage_is_embedded_title_and_headings_first() -> None:
    letters = Letters()
    Index.build(CHUNKS, letters, batch=3)
    assert [len(batch) for batch in letters.batches] == [3, 1]
    assert letters.batches[0][0] == "Doc › Part\nzzzz zzzz" and letters.batches[1][0] == "Doc\nzz aa"


def test_save_and_load(tmp_path: Path) -> None:
    build().save(tmp_path / "index", {"note": 1})
    loaded, manifest = Index.load(tmp_path / "index", "run copilot index")
    assert loaded.chunks == tuple(CHUNKS) and loaded.dimension == 26
    for mode in ("dense", "lexical", "hybrid"):
        assert found(loaded, "eeee aaaa", 4, mode) == found(build(), "eeee aaaa", 4, mode)
    assert (manifest["note"], manifest["format"], manifest["dimension"], manifest["chunks"]) == (1, 3, 26, 4)
    files = sorted(p.name for p in (tmp_path / "index").iterdir())
    assert files == ["chunks.jsonl", "index.faiss", "lexical.npz", "manifest.json"]
    for name in files[:3]:
        assert manifest["sha256"][name] == sha256_file(tmp_path / "index" / name)
        assert manifest["files"][name] == (tmp_path / "index" / name).stat().st_size


def test_no_pickle_is_written_or_read(project: Path, root: Path) -> None:
    import pickletools

    for file in (project / "outputs/default/index").iterdir():
        with pytest.raises(Exception):  # noqa: B017 - whatever pickletools meets in what is no pickle
            list(pickletools.genops(file.read_bytes()))
    sources = [p.read_text(encoding="utf-8") for p in (root / "src").rglob("*.py")]
    assert not any("import pickle" in text or "allow_dangerous" in text or "torch.load(" in text for text in sources)


def test_nothing_to_index_is_refused() -> None:
    with pytest.raises(CopilotError, match="no chunks"):
        Index.build([], Letters(), 2)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(StaleError, match="gives 3 numbers, the index holds 26"):
        build().cosines([1.0, 0, 0])


@pytest.mark.parametrize("name", ["chunks.jsonl", "index.faiss", "lexical.npz"])
def test_damage_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "index"
    with pytest.raises(StaleError, match="no index at") as caught:
        Index.load(folder, "run copilot index -c my.yaml")
    assert (caught.value.hint, caught.value.code) == ("run copilot index -c my.yaml", Exit.STALE)
    build().save(folder, {})
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one bit, same size
    with pytest.raises(StaleError, match=f"{name} is damaged") as caught:
        Index.load(folder, "run copilot index")
    assert caught.value.hint == "run copilot index --force"
    (folder / name).write_bytes(whole[:-1])
    with pytest.raises(StaleError, match=f"{name} is missing or damaged"):
        Index.load(folder, "run copilot index")


@pytest.mark.parametrize("version", [0, 1, 2, 4])
def test_another_version_is_refused(tmp_path: Path, version: int) -> None:
    build().save(tmp_path / "index", {})
    file = tmp_path / "index/manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": version}))
    with pytest.raises(StaleError, match="written by another version") as caught:
        Index.load(tmp_path / "index", "run copilot index")
    assert caught.value.hint.endswith("--force")


def test_k_hits_by_the_retriever() -> None:
    retrieve = IndexRetriever(build(), Letters(), Retriever(k=2))
    assert [h.chunk for h in retrieve("zzzzz")] == [CHUNKS[0], CHUNKS[3]]


def test_questions_are_embedded_ahead_in_batches() -> None:
    letters = Letters()
    retrieve = IndexRetriever(build(), letters, Retriever(k=2))
    questions = [letter * 5 for letter in "zzabc"]
    alone = [IndexRetriever(build(), Letters(), Retriever(k=2))(question) for question in questions]
    retrieve.embed(questions, 3)
    retrieve.embed(questions, 3)  # known by now
    assert [len(batch) for batch in letters.batches] == [3, 1]
    assert [retrieve(question) for question in questions] == alone


def test_the_manifest_says_what_the_index_was_made_of(project: Path) -> None:
    folder = project / "outputs/default/index"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["documents"] == {name: sha256_file(project / "kb" / name) for name in DOCUMENTS}
    assert manifest["embeddings"] == "offline:all-MiniLM-L6-v2" and manifest["dimension"] == 384
    assert manifest["splitter"] == {"size": 1200, "overlap": 150}
    assert manifest["chunks"] == 5 == len((folder / "chunks.jsonl").read_text(encoding="utf-8").splitlines())
    assert len(manifest["fingerprint"]) == 64 and manifest["made"].endswith("Z")
    order = [
        (folder / name).stat().st_mtime_ns for name in ("chunks.jsonl", "index.faiss", "lexical.npz", "manifest.json")
    ]
    assert order[3] == max(order)


def test_questions_find_their_passage(built: Path) -> None:
    retrieve = open_retriever(opened(built, "retriever.k=2"), "")
    for question, document, heading in (
        ("How do I switch on a lamp?", "lamps.md", "Lamps › Switch on"),
        ("Which call rings the bell?", "bells/bells.txt", "Bells"),
    ):
        hits = retrieve(question)
        assert len(hits) == 2 and (hits[0].chunk.document, hits[0].chunk.heading) == (document, heading)
    assert replace(hits[0].chunk, page=1).page == 1  # a hit's chunk is a plain value


def test_a_second_run_does_nothing_and_says_so(project: Path) -> None:
    def stamps() -> list[int]:
        return [p.stat().st_mtime_ns for p in sorted((project / "outputs/default/index").iterdir())]

    before, console = stamps(), Console()
    run_index(opened(project), console)
    assert console.said == ["index: unchanged, nothing to do (5 chunks of 3 documents)"] and stamps() == before
    (project / "kb/lamps.md").touch()
    run_index(opened(project, "retriever.k=9", "seed=3"), console)  # neither time nor other sections matter
    assert console.said[-1].startswith("index: unchanged")
    (project / "kb/team").symlink_to(project.parent, target_is_directory=True)
    run_index(opened(project), console)
    assert "kb/team is a link to a folder and is not read" in console.said[-2]


def test_what_changes_the_index_makes_it_stale(project: Path) -> None:
    for sets in (["chunks.size=500"], ["chunks.overlap=10"], ["documents.exclude=['doors.md']"]):
        assert Work(opened(project, *sets)).state("index").startswith("stale"), sets
    (project / "kb/lamps.md").write_text("# Lamps\n\nOther words.\n", encoding="utf-8")
    assert "lamps.md changed" in Work(opened(project)).state("index")
    console = Console()
    run_index(opened(project), console)
    assert console.said[-1].startswith("index: 4 chunks of 3 documents")
    assert Work(opened(project)).state("index") == "fresh"


def test_a_remote_embedder_is_its_model_and_its_endpoint(project: Path) -> None:
    remote = ["embeddings.model=azure_openai:small", "embeddings.endpoint=https://one.example"]
    keys = {
        Work(opened(project, *remote, *more)).key("index")
        for more in ([], ["embeddings.endpoint=https://two.example"], ["embeddings.model=azure_openai:large"])
    }
    assert len(keys) == 3
    without = [*remote, "embeddings.batch_size=7", "embeddings.api_key=k", "embeddings.api_version=v"]
    assert Work(opened(project, *without)).key("index") in keys


def test_another_embedder_than_the_manifests_is_refused(project: Path) -> None:
    config = opened(project, "embeddings.model=openai:text-embedding-3-small")
    with pytest.raises(StaleError) as caught:
        open_retriever(config, " -c copilot.yaml")
    assert "was made with offline:all-MiniLM-L6-v2" in caught.value.message
    assert "openai:text-embedding-3-small" in caught.value.message
    assert caught.value.hint == "run copilot index -c copilot.yaml"


def test_a_file_that_yields_no_text_stops_the_index_and_leaves_the_old_one(project: Path) -> None:
    before = (project / "outputs/default/index/manifest.json").read_bytes()
    (project / "kb/empty.md").write_text("\n\n")
    with pytest.raises(CopilotError, match=r"empty\.md: no text in it") as caught:
        run_index(opened(project), Console())
    assert "documents.exclude" in caught.value.hint
    assert (project / "outputs/default/index/manifest.json").read_bytes() == before


def test_an_empty_knowledge_base_is_refused(tmp_path: Path) -> None:
    config = make_project(tmp_path)
    shutil.rmtree(tmp_path / "kb")
    (tmp_path / "kb").mkdir()
    with pytest.raises(CopilotError, match="no documents in"):
        run_index(config, Console())


def start(project: Path, before: str = "") -> "subprocess.Popen[str]":
    """`copilot index` as its own process, after a line of Python."""
    script = f"{before}\nimport sys\nfrom copilot.cli import main\nsys.argv = ['copilot', 'index']\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_leaves_the_old_index_whole(project: Path) -> None:
    """No file may grow beyond 4 KiB, which `index.faiss` would: the system's own error of a full disk or quota."""
    folder = project / "outputs/default/index"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (project / "kb/lamps.md").write_text("# Lamps\n\nNew words.\n", encoding="utf-8")
    process = start(project, "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))")
    out, err = process.communicate(timeout=120)
    assert process.returncode == Exit.FAILED and out == ""
    assert "error: no room left on the disk for" in err and "what stood there before is unchanged" in err
    assert "→ free some space and run the same command again" in err and "Traceback" not in err
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith(".index.")] == []


def test_two_at_once_the_second_waits_and_finds_it_done(tmp_path: Path) -> None:
    make_project(tmp_path)
    processes = [start(tmp_path), start(tmp_path)]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    waited = [text for text in said if "waiting: " in text]
    assert len(waited) == 1 and "is in use by `copilot index` (process " in waited[0], said
    assert "index: unchanged, nothing to do (5 chunks of 3 documents)" in waited[0]
    assert sum("index: 5 chunks of 3 documents → " in text for text in said) == 1
