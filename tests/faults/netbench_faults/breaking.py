# SPDX-License-Identifier: GPL-3.0-or-later
"""What the faults do: each function takes the scene of a run that is on, and breaks something there.

What can be undone is undone by `scene.later`: when its time has come, or when the run has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from netbench_trial.programs import pair
from netbench_trial.trial import PLAYBOOKS, until

from . import clock, shim
from .scene import Scene

CUT_S = 30.0
STOP_S = 10.0
CLOCK = "/run/netbench-clock"  # the victim's worker reads there how wrong its wall clock is
CLOCK_FOLDER = "/usr/local/lib/netbench-clock"
SHIM = "/usr/local/lib/netbench-shim"
BALLAST = "ballast"


# -- workers and processes ---------------------------------------------------------------------------------------------


def kill_worker(scene: Scene) -> None:
    scene.signal([scene.worker()], signal.SIGKILL)


def stop_worker(scene: Scene) -> None:
    worker = scene.worker()
    scene.signal([worker], signal.SIGSTOP)
    scene.later(STOP_S, lambda: scene.signal([worker], signal.SIGCONT))


def kill_process(scene: Scene) -> None:
    scene.signal(scene.benchmark(), signal.SIGKILL)


def stop_process(scene: Scene) -> None:
    scene.signal(scene.benchmark(), signal.SIGSTOP)


def nothing(_scene: Scene) -> None:
    """The run's own programs are the fault."""


def terminate_worker(scene: Scene) -> None:
    """As `systemctl restart` does, or a package manager: the worker ends what runs, however deaf that is."""
    scene.signal([scene.worker()], signal.SIGTERM)
    # systemd does not restart what was ended by SIGTERM: a person does
    scene.later(0.5, lambda: _service(scene, "restart"))  # it may still be ending


def _service(scene: Scene, verb: str) -> None:
    scene.host.run("systemctl", verb, f"netbench-worker@{scene.trial.token}")


def reboot(scene: Scene) -> None:
    """Off at once; on again as soon as it can be."""
    scene.host.stop()
    scene.later(0, scene.host.start)


# -- the control node --------------------------------------------------------------------------------------------------


def kill_everything(scene: Scene) -> None:
    """ansible-playbook and all its children, as by the power cord."""
    scene.play.kill_all()


def kill_coordinator(scene: Scene) -> None:
    """Only the process that walks: ansible-playbook lives on."""
    if pid := scene.coordinator():
        scene.signal([pid], signal.SIGKILL)


def kill_parent(scene: Scene) -> None:
    scene.signal([scene.play.process.pid], signal.SIGKILL)


def press_ctrl_c(scene: Scene) -> None:
    scene.play.press_ctrl_c()


def press_ctrl_c_twice(scene: Scene) -> None:
    scene.play.press_ctrl_c()
    time.sleep(scene.dice.uniform(0.02, 0.5))
    with contextlib.suppress(OSError):
        scene.play.press_ctrl_c()


def kill_everything_and_cut_the_record(scene: Scene) -> None:
    """A crash in the middle of a write: the last line of the coordinator's record is half there."""
    scene.play.kill_all()
    if scene.run_folder:
        _cut_last_line(scene, scene.run_folder / "coordinator.jsonl")


def second_coordinator(scene: Scene) -> None:
    """Somebody else's command for the same hosts, while the run is on: it is refused, and says by whom."""
    playing = scene.trial.start(
        PLAYBOOKS / "run.yml",
        run_workload="command",
        run_parameters=pair(python="/usr/bin/python3", duration_s=0.2),
        run_results=str(scene.trial.folder / "elsewhere"),
    )
    scene.trial.playing.append(playing)
    scene.second = playing


def second_was_refused(scene: Scene) -> None:
    """After the run. The second command may also have come when the first one had ended."""
    assert scene.second is not None
    finished = scene.second.wait(90)
    words = " ".join(finished.output.split())
    assert finished.status == 0 or "here, for" in words or "has this worker" in words, finished.output


# -- the network -------------------------------------------------------------------------------------------------------


def cut_network(scene: Scene) -> None:
    """Between the victim and the control node, both ways and without a word."""
    scene.host.partition(scene.trial.lab.control)
    scene.later(CUT_S, scene.host.heal)


def half_open(scene: Scene) -> None:
    """The connections that there are pass nothing any more, and nobody says so; new ones work."""
    shown = scene.host.run("ss", "-Htn", "state", "established", "sport = :22").stdout
    ports = sorted({int(line.split()[3].rpartition(":")[2]) for line in shown.splitlines()})
    scene.host.drop_connections(scene.trial.lab.control, ports)
    scene.later(120, scene.host.heal)


# -- what a host runs out of -------------------------------------------------------------------------------------------


def small_disk(scene: Scene) -> None:
    """Before the run: the worker's folder is a file system of 48 MB."""
    _service(scene, "stop")
    folder = f"/var/lib/netbench-worker/{scene.trial.token}"
    scene.host.shell(f"mount -t tmpfs -o size=48m,mode=0700 tmpfs {folder} && chown netbench: {folder}")
    _service(scene, "start")


def fill_disk(scene: Scene) -> None:
    ballast = scene.worker_folder(scene.victim) / BALLAST
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), open(ballast, "ab", buffering=0) as file:
        while True:
            file.write(b"0")
    scene.later(120, lambda: ballast.unlink(missing_ok=True))


def big_disk(scene: Scene) -> None:
    _service(scene, "stop")
    scene.host.shell(f"umount /var/lib/netbench-worker/{scene.trial.token}")
    _service(scene, "start")


def slow_down(scene: Scene) -> None:
    """A tenth of a core for the whole host."""
    scene.host.limit_cpu(0.1)
    scene.later(120, scene.host.unlimit_cpu)


# -- clocks ------------------------------------------------------------------------------------------------------------


def own_clock(scene: Scene) -> None:
    """Before the run: the victim's worker lives by a wall clock of its own, right as yet.

    Not by libfaketime's: under that a sleep until an instant of the monotonic clock fails, which Python's is.
    """
    scene.host.path(CLOCK_FOLDER).mkdir(exist_ok=True)
    scene.host.path(f"{CLOCK_FOLDER}/sitecustomize.py").write_text(Path(clock.__file__).read_text())
    _set_clock(scene)
    unit = scene.host.path(f"/etc/systemd/system/netbench-worker@{scene.trial.token}.service.d/90-clock.conf")
    unit.parent.mkdir(exist_ok=True)
    unit.write_text(f"[Service]\nEnvironment=PYTHONPATH={CLOCK_FOLDER}\n")
    scene.host.shell("systemctl daemon-reload")
    _service(scene, "restart")


def _set_clock(scene: Scene, *, step_s: int = 0, drift_ppm: int = 0) -> None:
    draft = scene.host.path(f"{CLOCK}.draft")
    draft.write_text(f"{time.time_ns()} {step_s * 10**9} {drift_ppm}\n")
    draft.chmod(0o644)
    draft.replace(scene.host.path(CLOCK))


def step_clock(scene: Scene) -> None:
    _set_clock(scene, step_s=scene.dice.choice((5, -5)))


def drift_clock(scene: Scene) -> None:
    """500 parts in a million too fast from now on."""
    _set_clock(scene, drift_ppm=500)


def common_clock(scene: Scene) -> None:
    scene.host.path(f"/etc/systemd/system/netbench-worker@{scene.trial.token}.service.d/90-clock.conf").unlink()
    scene.host.shell("systemctl daemon-reload")
    _service(scene, "restart")


# -- frames ------------------------------------------------------------------------------------------------------------


def place_shim(scene: Scene) -> None:
    """Before the run: the victim's channel passes through a program that can spoil it."""
    path = scene.host.path(SHIM)
    path.write_text(Path(shim.__file__).read_text())
    known = scene.trial.known_worker(scene.victim)["netbench_worker"]
    scene.trial.write_inventory(**{scene.victim: {"netbench_worker": {**known, "program": SHIM}}})


def spoil_frame(how: str) -> Callable[[Scene], None]:
    """The next thing that the victim's worker says arrives like this."""

    def spoil(scene: Scene) -> None:
        scene.host.path(shim.TRIGGER).write_text(how)
        scene.later(120, lambda: scene.host.path(shim.TRIGGER).unlink(missing_ok=True))

    return spoil


def remove_shim(scene: Scene) -> None:
    scene.trial.write_inventory()


# -- journals ----------------------------------------------------------------------------------------------------------


def _cut_last_line(scene: Scene, path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        if not (whole := file.read()):
            return
        last = len(whole.rstrip(b"\n")) - (whole.rstrip(b"\n").rfind(b"\n") + 1)
        file.truncate(len(whole) - scene.dice.randrange(1, max(2, last)))


def kill_worker_and_cut_journal(scene: Scene) -> None:
    """A crash in the middle of a write: the last record is half there when the worker is back."""
    worker, journal = scene.worker(), scene.journal(scene.victim)
    scene.signal([worker], signal.SIGKILL)
    if journal:
        _cut_last_line(scene, journal)


def kill_worker_and_reuse_pid(scene: Scene) -> None:
    """When the worker is back, the pids in its journal are those of somebody else, who must live."""
    worker, journal = scene.worker(), scene.journal(scene.victim)
    scene.bystander = scene.host.run("sh", "-c", "sleep 300 </dev/null >/dev/null 2>&1 & echo $!").stdout.strip()
    scene.signal([worker], signal.SIGKILL)
    if journal and journal.exists():
        lines = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
        for line in lines:
            for process in line.get("processes", ()):
                process["pid"] = int(scene.bystander)
        journal.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        os.sync()


def bystander_lives(scene: Scene) -> None:
    """After the run; then it may go."""
    assert scene.host.run("kill", scene.bystander, check=False).returncode == 0, "the bystander was killed"


# -- somebody else -----------------------------------------------------------------------------------------------------


def stale_run(scene: Scene) -> None:
    """Before the run: somebody's coordinator has died and left a sample going, with a lease of some seconds."""
    theirs = scene.trial.folder / "theirs" / scene.results.name
    playing = scene.trial.start(
        PLAYBOOKS / "run.yml",
        run_workload="command",
        run_parameters=pair(python="/usr/bin/python3", client=["/bin/sleep", "600"], duration_s=0.5, deadline="1s"),
        run_lease=1,
        run_results=str(theirs),
    )
    scene.trial.playing.append(playing)

    def runs() -> bool:
        assert playing.process.poll() is None, f"theirs has ended:\n{playing.text}"
        return any(map(_has_t0, theirs.glob("2*/coordinator.jsonl")))

    until("theirs runs", runs, deadline_s=60)
    playing.kill_all()


def _has_t0(path: Path) -> bool:
    return '"event":"t0"' in path.read_text()


def wait_for_nobody(scene: Scene) -> None:
    until("their lease has ended", lambda: not scene.trial.leftovers(), deadline_s=60, every_s=0.2)
