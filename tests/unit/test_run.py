# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of `make test` itself: a run must never look better than it was."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).resolve().parents[1]
HERE = "here"  # an environment whose interpreter is the one of this test


def load(name: str, folder: Path = TESTS) -> ModuleType:
    """A script of tests/, or of another folder, as a module."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="runner")
def _runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TESTS))
    for name in ("run", "steps"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = load("run")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/install.py").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOGS", tmp_path)
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    return module


def outcome(runner: ModuleType, code: str, *, limit_s: float = 20, needs: tuple[str, ...] = ()) -> object:
    """What the runner makes of a step that runs this Python code."""
    step = runner.Step("step", ("{python}", "-c", code, "{junit}"), limit_s, needs=needs, environment=HERE)
    return runner.carry_out(step, {HERE: "."})


def test_a_plain_step_counts_as_one(runner: ModuleType) -> None:
    done = outcome(runner, "print('fine')")
    assert (done.verdict, done.counts) == ("passed", Counter(passed=1))


def test_a_failing_step_shows_its_output(runner: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    done = outcome(runner, "print('the reason'); raise SystemExit(3)")
    assert (done.verdict, done.counts) == ("failed", Counter(failed=1))
    assert "the reason" in capsys.readouterr().out


def test_a_step_that_cannot_run_is_skipped_with_its_reason(runner: ModuleType) -> None:
    done = outcome(runner, "print('needs a flux capacitor'); raise SystemExit(77)")
    assert (done.verdict, done.counts, done.notes) == ("skipped", Counter(skipped=1), ["needs a flux capacitor"])


def test_an_absent_need_is_a_skip(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runner.NEEDS, "moon", lambda: "it is new moon")
    done = outcome(runner, "raise SystemExit('must not run')", needs=("moon",))
    assert (done.verdict, done.notes) == ("skipped", ["it is new moon"])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo cargo 1.95.0", ""),
        (
            "echo info: looking; echo error: no toolchain >&2; echo 1: main; exit 1",
            "cargo --version: error: no toolchain",
        ),
        ("echo this; echo that; exit 1", "cargo --version: that"),
        ("exit 3", "cargo --version: exit status 3"),
    ],
)
def test_a_program_is_there_when_it_answers(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    shim = tmp_path / "bin/cargo"
    shim.write_text(f"#!/bin/sh\n{script}\n")
    shim.chmod(0o755)
    assert runner.NEEDS["cargo"]() == said
    monkeypatch.setattr(runner, "ANSWER_LIMIT_S", 0.1)
    shim.write_text("#!/bin/sh\nexec sleep 20\n")
    assert "timed out after 0.1 seconds" in runner.NEEDS["cargo"]()
    shim.unlink()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    assert runner.NEEDS["cargo"]() == "not installed: cargo"


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("shims", ["bin", "pyenv/shims"])
def test_a_python_is_there_when_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool, shims: str
) -> None:
    install = load("install", TESTS.parent / "requirements")
    environment = install.Environment("nowhere", (), ("3.99",))
    shim = tmp_path / shims / "python3.99"
    shim.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2; exit 127\n")
    shim.chmod(0o755)
    real = tmp_path / "pyenv/versions/3.99.1/bin/python3"
    real.parent.mkdir(parents=True)
    real.write_text(f"#!/bin/sh\necho {'3.99' if answers else '3.98'}\n")
    real.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", f"{tmp_path}/{'pyenv' if shims == 'bin' else 'none'}")
    if answers:
        assert install.interpreter(environment) == str(real)
    else:
        (tmp_path / "pyenv/versions/3.99.2/bin").mkdir(parents=True)
        (tmp_path / "pyenv/versions/3.99.2/bin/python3").write_text("no program")
        with pytest.raises(install.NoInterpreterError, match=r"needs one of Python 3\.99, and this machine has none"):
            install.interpreter(environment)


def test_a_step_that_hangs_is_killed_with_its_children(runner: ModuleType, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"os.fork(); open({str(tmp_path)!r} + f'/pid-{{os.getpid()}}', 'w'); time.sleep(60)"
    )
    began = time.monotonic()
    done = outcome(runner, code, limit_s=1)
    assert (done.verdict, done.notes[0]) == ("failed", "not done after 1 s")
    assert time.monotonic() - began < 10
    pids = [int(path.name.split("-")[1]) for path in tmp_path.glob("pid-*")]
    assert len(pids) == 2
    assert all(gone_within(pid, 5) for pid in pids)


def gone_within(pid: int, limit_s: float) -> bool:
    """Whether the process ends (or is a zombie that nobody waits for) in time."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_tests_are_counted_one_by_one(runner: ModuleType) -> None:
    report = (
        "<testsuites><testsuite><testcase name='a'/><testcase name='b'><skipped message='no luck'/></testcase>"
        "<testcase name='c'/></testsuite></testsuites>"
    )
    done = outcome(runner, f"import sys; open(sys.argv[1], 'w').write({report!r})")
    assert (done.verdict, done.counts, done.notes) == ("passed", Counter(passed=2, skipped=1), ["b: no luck"])


def test_a_failed_test_fails_the_step_whatever_its_exit_status(runner: ModuleType) -> None:
    report = "<testsuite><testcase name='a'><failure/></testcase><testcase name='b'/></testsuite>"
    done = outcome(runner, f"import sys; open(sys.argv[1], 'w').write({report!r})")
    assert (done.verdict, done.counts) == ("failed", Counter(passed=1, failed=1))


def test_the_last_line_is_the_sum(runner: ModuleType) -> None:
    step = runner.STEPS[0]
    text = runner.summary(
        [
            runner.Outcome(step, "passed", 1.0, Counter(passed=7, skipped=1), ["x: no luck"]),
            runner.Outcome(step, "failed", 1.0, Counter(failed=2), ["exit status 1"]),
            runner.Outcome(step, "skipped", 0.0, Counter(skipped=1), ["needs root"]),
        ],
        61.0,
    )
    assert text.splitlines()[-1] == "7 passed, 2 failed, 2 skipped"
    assert f"SKIPPED: {step.name}: needs root" in text


def test_steps_run_together_or_alone(runner: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of a pair waits for the other's file; the one that stands alone finds that both are over."""
    waits = (
        "import pathlib, sys, time; mine, other = map(pathlib.Path, sys.argv[1:]); mine.touch()\n"
        "while not other.exists(): time.sleep(0.01)\n"
        "time.sleep(0.1); mine.with_suffix('.over').touch()"
    )
    alone = f"import pathlib; assert len(list(pathlib.Path({str(tmp_path)!r}).glob('*.over'))) == 2"
    python = ("{python}", "-c")
    paths = [str(tmp_path / name) for name in ("a", "b")]
    steps = [
        runner.Step("a", (*python, waits, *paths), 20, environment=HERE, together=True),
        runner.Step("b", (*python, waits, *reversed(paths)), 20, environment=HERE, together=True),
        runner.Step("c", (*python, alone), 20, environment=HERE),
    ]
    assert [done.verdict for done in runner.carry_out_all(steps, {HERE: "."})] == ["passed"] * 3
    shown = capsys.readouterr().out
    assert "together: a, b\n" in shown
    assert "c … passed" in shown


def test_a_signal_ends_what_runs(runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps under way have the chance to clean up; what does not use it is killed."""
    code = (
        "import os, signal, sys, time; stubborn = sys.argv[1] == 'stubborn'\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else signal.default_int_handler)\n"
        f"open({str(tmp_path)!r} + f'/pid-{{os.getpid()}}', 'w').close()\n"
        "try: time.sleep(60)\n"
        f"finally: open({str(tmp_path / 'tidied')!r}, 'w').close()"
    )
    steps = [
        runner.Step(name, ("{python}", "-c", code, name), 60, environment=HERE, together=True)
        for name in ("polite", "stubborn")
    ]

    class StopError(Exception):
        pass

    def stop(*_arguments: object, **_options: object) -> object:
        deadline = time.monotonic() + 20
        while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        raise StopError

    monkeypatch.setattr(runner.concurrent.futures, "as_completed", stop)
    with pytest.raises(StopError):
        list(runner.carry_out_all(steps, {HERE: "."}))
    assert (tmp_path / "tidied").exists()
    pids = [int(path.name.split("-")[1]) for path in tmp_path.glob("pid-*")]
    assert len(pids) == 2
    assert all(gone_within(pid, 5) for pid in pids)


def test_only_picks_by_name_and_group(runner: ModuleType) -> None:
    assert [step.name for step in runner.chosen(runner.STEPS, "ruff, mypy")] == ["ruff", "mypy"]
    assert len(runner.chosen(runner.STEPS, "checks")) > 4
    assert runner.chosen(runner.STEPS, "") == list(runner.STEPS)
    with pytest.raises(SystemExit, match="unknown step: unti"):
        runner.chosen(runner.STEPS, "unti")


def test_steps_are_well_formed(runner: ModuleType) -> None:
    names = [step.name for step in runner.STEPS]
    assert len(names) == len(set(names))
    assert {need for step in runner.STEPS for need in step.needs} <= set(runner.NEEDS)
    assert all(step.limit_s > 0 for step in runner.STEPS)
