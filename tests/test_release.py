"""What a release says of itself: how it is cited, and how its image is built."""

import re
from pathlib import Path

import yaml

import hao

ROOT = Path(__file__).resolve().parent.parent


def test_the_citation_has_what_its_format_asks_for() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = yaml.safe_load(text)
    # Required keys: Citation File Format 1.2.0.
    assert {"authors", "cff-version", "message", "title"} <= set(cited)
    assert cited["version"] == hao.__version__
    assert cited["license"] == "Apache-2.0"
    for work in cited["references"]:
        assert {"authors", "title", "type"} <= set(work)


def test_the_image_is_built_from_what_is_there() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (.*) \S+$", text, re.M)
    sources = [name for line in copied for name in line.split()]
    assert {"pyproject.toml", "hao", "boards", "templates", "data"} <= set(sources)
    for name in sources:
        assert (ROOT / name).exists(), name
    extras = re.findall(r"'\.\[([\w,]+)\]'", text)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in extras[0].split(","):
        assert f"\n{extra} = [" in project


def test_the_change_log_begins_with_what_a_user_gets() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = text.partition("\n## ")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.*)", newest, re.M)[0] == "In short"
