# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker is killed for good, and the suite says what becomes of the run: `on_host_failure`.

`abort` is the usual one; test_control.py has it.
"""

from __future__ import annotations

import os
import signal
import subprocess

from netbench_trial.programs import pair
from netbench_trial.trial import PLAYBOOKS, LocalTrial, Playing, until

SLEEP_S = 3
PARAMETERS = pair(client=["sleep", str(SLEEP_S)], duration_s=SLEEP_S)


def kill_in_window(trial: LocalTrial, playing: Playing, host: str) -> None:
    """Kill a host's worker, which nobody starts again, as soon as all clients run."""

    def released() -> bool:
        assert playing.process.poll() is None, f"ended before the window:\n{playing.text}"
        return sum(f"sleep {SLEEP_S}" in command for command in trial.leftovers().values()) == 2

    until("the clients run", released, deadline_s=60)
    os.kill(int(trial.worker_pid(host) or 0), signal.SIGKILL)


def start_worker(trial: LocalTrial, host: str) -> None:
    """As the role starts it."""
    known = trial.known_worker(host)["netbench_worker"]
    options = [f"--{name}={known[name.replace('-', '_')]}" for name in ("instance", "state-dir", "runtime-dir")]
    subprocess.run([known["python"], known["program"], "start", *options, "--idle-exit", "300"], check=True, timeout=30)


def verdicts(trial: LocalTrial) -> list[tuple[int, int, str, list[str]]]:
    """Sample, attempt, verdict and missing hosts of each attempt."""
    return [(e["sample"], e["attempt"], e["verdict"], list(e.get("missing", {}))) for e in trial.run.samples]


def test_retry_takes_the_sample_again_until_the_budget_is_used_up(local: LocalTrial) -> None:
    playing = local.walking("command", parameters=PARAMETERS, on_host_failure="retry", retry_budget=1)
    kill_in_window(local, playing, "client2")
    finished = playing.wait(90).failed()
    assert verdicts(local) == [(0, 1, "failed", []), (0, 2, "failed", [])]
    assert all(line["reason"].startswith("client2: the worker is lost") for line in local.run.samples)
    assert "the retry budget is used up" in " ".join(finished.output.split())
    assert local.run.of("end")[0]["verdict"] == "partial"


def test_drop_goes_on_with_fewer_hosts_and_never_silently(local: LocalTrial) -> None:
    """The first sample is taken again without the host; once its worker lives again, it takes part again."""
    playing = local.walking("command", parameters=PARAMETERS, on_host_failure="drop", retry_budget=0, repeats=3)
    kill_in_window(local, playing, "client2")
    until("the run goes on", lambda: "going on without client2" in playing.text, deadline_s=60)
    until("the next window", lambda: playing.text.count("window of") == 2, deadline_s=60)
    start_worker(local, "client2")
    finished = playing.wait(120).ok()
    told = " ".join(finished.output.split())
    print(verdicts(local))
    assert verdicts(local) == [(0, 1, "failed", []), (0, 2, "ok", ["client2"]), (1, 1, "ok", []), (2, 1, "ok", [])]
    assert "client2: the worker is lost" in local.run.samples[1]["missing"]["client2"] or "the worker is lost" in told
    assert list(local.run.samples[1]["hosts"]) == ["server1", "server2", "client1"]
    assert [row["missing"] for row in local.run.rows] == ["", "client2", "", ""]
    assert "ok · start skew" in told
    assert "· without client2" in told
    assert "client2 is back" in told
    assert "fewer hosts than planned in 1 of 4 samples; missing: client2 in 1" in told
    assert "missing: client2 in 1" in (local.run.path / "report.html").read_text()
    assert local.run.json("summary.json")["points"][0]["fewer_hosts"] == {"0.2": ["client2"]}


def test_drop_goes_on_without_no_server(local: LocalTrial) -> None:
    """Every client has its server: the workload allows fewer clients, not fewer servers."""
    playing = local.walking("command", parameters=PARAMETERS, on_host_failure="drop", repeats=2)
    kill_in_window(local, playing, "server2")
    finished = playing.wait(90).failed()
    told = " ".join(finished.output.split())
    assert "the run cannot go on without server2: the workload command makes no sense with fewer servers" in told
    assert [line["verdict"] for line in local.run.samples] == ["failed"]


def test_a_workload_that_allows_no_drop_is_refused_before_a_host_is_touched(local: LocalTrial) -> None:
    given = {"run_workload": "pynetbench", "run_on_host_failure": "drop"}
    finished = local.play(PLAYBOOKS / "run.yml", "--check", **given).failed()
    told = " ".join(finished.output.split())
    assert "the workload pynetbench makes no sense with fewer hosts; use abort or retry" in told
    assert "Origin: " in told, "file and line"
