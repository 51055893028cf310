"""Every bad input ends in a result or in a message, in bounded memory and time."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest
from bad_annotations import bad_annotations
from bad_images import bad_images
from bad_mats import bad_mats
from bad_models import bad_models
from bad_pickles import bad_pickles
from bad_places import bad_places
from bad_results import bad_results
from children import Children
from corpus import BadInput

pytestmark = pytest.mark.hostile

INPUTS = [
    *bad_images(),
    *bad_annotations(),
    *bad_pickles(),
    *bad_mats(),
    *bad_models(),
    *bad_results(),
    *bad_places(),
]
# A message is for people: some may show a list of class names.
LONGEST_LINE = 1000


def test_there_are_hundreds_of_inputs(tmp_path: Path) -> None:
    names = Counter(bad.name for bad in INPUTS)
    assert max(names.values()) == 1, names.most_common(3)
    assert len(names) >= 300


@pytest.mark.parametrize("bad", INPUTS, ids=lambda bad: bad.name)
def test_a_bad_input_ends_in_a_result_or_a_message(
    bad: BadInput, children: Children, home: Path, tmp_path: Path, count: dict[str, str]
) -> None:
    bad.make(tmp_path)
    digest = digest_of(tmp_path)
    assert not (tmp_path / "ran").exists()
    before = set(tmp_path.rglob("*"))
    arguments = [argument.replace("HOME", str(home)) for argument in bad.arguments]
    outcome = children.run(["-q", *arguments], tmp_path, FRCNN_CACHE=str(tmp_path / "cache"))
    assert not outcome.has_traceback, outcome.output[-3000:]
    assert outcome.code in (0, 1, 2), outcome
    assert not outcome.orphans
    if outcome.code == 0:
        assert bad.ends != "message", outcome
    else:
        assert bad.ends != "result", outcome
        assert bad.named in outcome.output, outcome
        lines = outcome.message.splitlines()
        assert len(lines) <= 3, outcome.message[:3000]
        assert max(map(len, lines), default=0) <= LONGEST_LINE, outcome.message[:3000]
    assert not (tmp_path / "ran").exists(), "code from the file was run"
    assert not any("partial" in path.name for path in {*tmp_path.rglob("*")} - before)
    count[digest] = "result" if outcome.code == 0 else "message"


def digest_of(folder: Path) -> str:
    """The digest of all names and contents in a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(os.fsencode(path.relative_to(folder)))
        if path.is_symlink():
            found.update(str(path.readlink()).encode())
        elif path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()
