# SPDX-License-Identifier: GPL-3.0-or-later
"""A share of `make fuzz`, always the same; and what every parser answers to a field or a version it does not know."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from netbench_fuzz.chunk import examine
from netbench_fuzz.mutation import Mutator
from netbench_fuzz.targets import TARGETS, Folder

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {target.name: target for target in TARGETS}
UNKNOWN_IS_REFUSED = (
    "requests",
    "worker messages",
    "worker plan",
    "scenario",
    "suite",
    "workload",
    "workload, planned",
)
UNKNOWN_IS_IGNORED = ("channel frames", "plan accepted", "journal", "seal", "record", "results", "results' plan",
                      "collector", "statistics", "sampler")  # fmt: skip
VERSIONED = ("worker plan", "run plan", "suite", "workload", "seal")


@pytest.mark.skipif(sys.platform != "linux", reason="the bounds are kept by means of Linux")
def test_a_share_of_the_fuzzing() -> None:
    command = [sys.executable, str(ROOT / "tests/fuzz/run.py"), "--inputs", "30000", "--seed", "1", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "no failure"
    assert all(name in done.stdout for name in BY_NAME)


@pytest.fixture
def answer():
    """``answer(name, data)`` is what the parser makes of it: True, False, or its own error."""
    folder = Folder()

    def answer(name: str, data: bytes) -> object:
        target = BY_NAME[name]
        try:
            return bool(target.parse(data, folder.empty()))
        except target.errors as problem:
            return str(problem)

    yield answer
    folder.remove()


def documents(name: str, **more: object) -> list[bytes]:
    """The good inputs with fields added to each of their objects (one per line, or one in all)."""
    target = BY_NAME[name]
    split = (lambda data: data.splitlines()) if target.form == "lines" else (lambda data: [data])
    grown = [[json.dumps({**json.loads(line), **more}).encode() for line in split(data)] for data in target.seeds()]
    return [b"\n".join(lines) + b"\n" for lines in grown]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_good_inputs_are_understood(answer, name: str) -> None:
    target = BY_NAME[name]
    good = target.seeds()[:3] if target.form == "tar" else target.seeds()
    assert [answer(name, data) for data in good] == [True] * len(good)


@pytest.mark.parametrize("name", UNKNOWN_IS_REFUSED)
def test_an_unknown_field_is_refused_by_its_name(answer, name: str) -> None:
    for data in documents(name, novelty=1):
        assert "unknown key" in answer(name, data)
        assert "novelty" in answer(name, data)


@pytest.mark.parametrize("name", UNKNOWN_IS_IGNORED)
def test_an_unknown_field_is_passed_over(answer, name: str) -> None:
    assert all(answer(name, data) is True for data in documents(name, novelty=1))


@pytest.mark.parametrize("name", VERSIONED)
def test_an_unknown_version_is_refused(answer, name: str) -> None:
    for data in documents(name, schema=99):
        said = answer(name, data)
        assert said is False if name == "seal" else "schema: expected" in said


def test_a_seed_always_draws_the_same() -> None:
    for target in TARGETS:
        one, other = (Mutator(random.Random("7"), target.seeds(), target.form) for _time in range(2))
        assert [one.draw() for _input in range(20)] == [other.draw() for _input in range(20)]


def test_what_a_parser_must_not_do_is_noticed() -> None:
    target, folder = BY_NAME["seal"], Folder()
    try:
        for wrong in (lambda data, path: 1 / 0, lambda data, path: json.loads(data)):
            with pytest.raises((ZeroDivisionError, ValueError)):
                examine(type(target)("x", wrong, (), target.seeds, "json", 1), b"{", folder)
    finally:
        folder.remove()
