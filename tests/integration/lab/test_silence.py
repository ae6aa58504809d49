# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is sent in the window, and little beside it: counted on hosts, recorded on the wire, said by workers."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netbench_lab.packets import Recording
from netbench_trial.lab import LabTrial
from netbench_trial.programs import pair
from netbench_trial.results import RunFolder
from netbench_trial.trial import Finished, Playing, until

WINDOW_S = 4
PARAMETERS = {"duration": f"{WINDOW_S}s"}
PACKETS_PER_WALK = 30


def t0_of(trial: LabTrial, playing: Playing, *, not_of: set[Path]) -> float:
    """T0 of the first sample on this machine's time.monotonic(), as soon as it is chosen; earlier runs do not count."""

    def chosen() -> float | None:
        assert playing.process.poll() is None, f"ended before T0:\n{playing.text}"
        try:
            run = trial.run
            return None if run.path in not_of else float(run.of("t0")[0]["t0_ns"]) / 1e9
        except (OSError, ValueError, IndexError):
            return None  # no folder, no record, half a line yet

    return float(until("T0 is chosen", chosen, deadline_s=60))


def wall_window(run: RunFolder, sample: int) -> tuple[int, int]:
    """The window of a sample, in ns of this machine's wall clock."""
    window = run.samples[sample]["window"]
    return window["start_wall_ns"], window["start_wall_ns"] + window["stop_ns"] - window["start_ns"]


def test_no_packet_passes_in_the_window(on_lab: LabTrial) -> None:
    """Three witnesses: the hosts' packet filters, a recorder on the bridge, and the workers' own count."""
    hosts = on_lab.lab.hosts
    for host in hosts.values():
        host.count_packets()
    earlier = set(on_lab.results.iterdir()) if on_lab.results.exists() else set()
    on_lab.lab.end_connections()
    with on_lab.lab.recorded_packets() as recording:
        playing = on_lab.walking("pynetbench", parameters=PARAMETERS, repeats=2)
        t0_s = t0_of(on_lab, playing, not_of=earlier)
        time.sleep(max(0.0, t0_s + 0.5 - time.monotonic()))
        first_ns = time.monotonic_ns()
        before = {name: host.packets() for name, host in hosts.items()}
        listening = {name: host.listening() for name, host in hosts.items()}
        time.sleep(max(0.0, t0_s + WINDOW_S - 0.7 - time.monotonic()))
        after = {name: host.packets() for name, host in hosts.items()}
        last_ns = time.monotonic_ns()
        playing.wait(90).ok()
    run = on_lab.run

    window = run.samples[0]["window"]
    assert run.samples[0]["verdict"] == "ok"
    assert window["start_ns"] < first_ns < last_ns < window["stop_ns"], "the counters were read inside the window"
    counted = {name: (after[name] - before[name]).total for name in hosts}
    print(f"counted on the hosts in {(last_ns - first_ns) / 1e9:.2f} s of the window: {counted}")
    assert counted == dict.fromkeys(hosts, 0)

    for number, line in enumerate(run.samples):
        start_ns, stop_ns = wall_window(run, number)
        seen = recording.between(start_ns=start_ns, stop_ns=stop_ns)
        print(
            f"sample {number}: window {line['window_s']:.3f} s, on the wire {len(seen)}, said {line['control_packets']}"
        )
        assert not seen, f"in the window: {[(p.host, (p.wall_ns - start_ns) / 1e9, p.length) for p in seen]}"
        assert line["control_packets"] == 0
        assert {name: about["control_packets"] for name, about in line["hosts"].items()} == dict.fromkeys(hosts, 0)

    for name, sockets in listening.items():
        expected = {("sshd", 22)} | ({("python3", 4433)} if name.startswith("server") else set())
        assert {(each.process, each.port) for each in sockets} == expected, "a worker listens on no port"

    check_packets_of_a_walk(run, recording, on_lab)


def check_packets_of_a_walk(run: RunFolder, recording: Recording, trial: LabTrial) -> None:
    """From a sample's begin to its line in the record: what one walk costs each worker, once it is connected."""
    begins = {each["sample"]: wall_ns(each["utc"]) for each in run.of("begin")}
    names = {host.address: name for name, host in trial.lab.hosts.items()}
    for line in run.of("sample"):
        seen = recording.between(start_ns=begins[line["sample"]], stop_ns=wall_ns(line["utc"]))
        packets = Counter(names[packet.host] for packet in seen)
        size = sum(packet.length for packet in seen)
        print(f"sample {line['sample']}: packets per worker and walk {dict(packets)}, {size} bytes in all")
        assert set(packets) == set(trial.lab.hosts)
        assert max(packets.values()) <= PACKETS_PER_WALK


def wall_ns(utc: str) -> int:
    """`2026-11-21T11:05:03.123456Z` in ns since the epoch."""
    whole, _point, fraction = utc.rstrip("Z").partition(".")
    return int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 10**9 + int(fraction) * 1000


def test_keepalives_that_the_user_wants_do_not_break_the_silence(on_lab: LabTrial) -> None:
    """`ServerAliveInterval=1` for Ansible's connections, with masters that outlive their tasks: still no packet."""
    keepalive = {
        "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=1",
        "ansible_control_path": f"%(directory)s/{on_lab.lab.settings.lab_id}-ka-%%h",
    }
    on_lab.write_inventory(**dict.fromkeys(on_lab.hosts, keepalive))
    on_lab.lab.end_connections()  # of earlier plays, with other control paths
    with on_lab.lab.recorded_packets() as recording:
        finished = on_lab.play("incast.yml", timeout_s=120, run_parameters=PARAMETERS, run_max_start_skew="1s")
    finished.ok()
    line = on_lab.run.samples[-1]
    start_ns, stop_ns = wall_window(on_lab.run, len(on_lab.run.samples) - 1)
    seen = recording.between(start_ns=start_ns, stop_ns=stop_ns)
    print(f"on the wire {len(seen)}, said {line['control_packets']}")
    assert not seen, f"in the window: {[(p.host, p.ports, (p.wall_ns - start_ns) / 1e9, p.length) for p in seen]}"
    assert line["control_packets"] == 0


@contextlib.contextmanager
def keepalives(trial: LabTrial, seconds: int) -> Iterator[None]:
    """Every host's ssh server says something after so many seconds of silence, for the length of a `with` block."""
    for host in trial.lab.hosts.values():
        host.path("/etc/ssh/sshd_config.d/00-alive.conf").write_text(f"ClientAliveInterval {seconds}\n")
        host.shell("systemctl reload ssh")
    trial.lab.end_connections()
    try:
        yield
    finally:
        for host in trial.lab.hosts.values():
            host.path("/etc/ssh/sshd_config.d/00-alive.conf").unlink()
            host.shell("systemctl reload ssh")
        trial.lab.end_connections()


def sleeping(trial: LabTrial, **variables: Any) -> tuple[Finished, list[dict[str, Any]], list[int]]:
    """Two samples whose clients only wait: they last as long as they are expected to, on the busiest machine.

    Returns what the play said, the lines of the samples, and the packets on the wire in the window of each.
    """
    client = ["sleep", str(WINDOW_S)]
    parameters = pair(python="/usr/bin/python3", client=client, duration_s=WINDOW_S)
    with keepalives(trial, 1), trial.lab.recorded_packets() as recording:
        finished = trial.walk("command", parameters=parameters, repeats=2, timeout_s=120, **variables).ok()
    run = trial.run
    wire = []
    for number, line in enumerate(run.samples):
        start_ns, stop_ns = wall_window(run, number)
        wire.append(len(recording.between(start_ns=start_ns, stop_ns=stop_ns)))
        print(f"{line['verdict']}: on the wire {wire[-1]}, said {line['control_packets']}")
    print(f"{finished.elapsed_s:.1f} s; leads {[round(each['lead_ns'] / 1e6) for each in run.of('t0')]} ms")
    return finished, run.samples, wire


def test_ssh_servers_that_send_keepalives_are_let_go_for_the_window(on_lab: LabTrial) -> None:
    """`ClientAliveInterval 1` in sshd_config on every host, and the role knows: no packet passes in 4 s."""
    on_lab.write_inventory(**workers_that_know(on_lab, 1))
    finished, lines, wire = sleeping(on_lab)
    assert "speak after 1 s of silence" in " ".join(finished.output.split())
    silent = [line for line, packets in zip(lines, wire, strict=True) if line["verdict"] == "ok" and packets == 0]
    assert len(silent) == 2, "an attempt in which a busy machine was too slow to say goodbye is taken again"
    for line in silent:
        assert line["control_packets"] == 0
        assert {name: host["control_packets"] for name, host in line["hosts"].items()} == dict.fromkeys(on_lab.hosts, 0)


def test_keepalives_of_servers_that_nobody_knew_of_are_heard_once(on_lab: LabTrial) -> None:
    """The role could not tell: the first window does, and from then on there is silence."""
    on_lab.write_inventory(**workers_that_know(on_lab, None))
    finished, lines, wire = sleeping(on_lab)
    assert wire[0] > 0
    assert lines[0]["control_packets"] > 0
    assert "packets on the channel in the window" in " ".join(finished.output.split())
    assert (lines[-1]["verdict"], lines[-1]["control_packets"], wire[-1]) == ("ok", 0, 0)


def test_a_worker_that_dies_while_its_channel_is_let_go_is_found_when_the_window_is_over(on_lab: LabTrial) -> None:
    parameters = pair(python="/usr/bin/python3", client=["sleep", str(WINDOW_S)], duration_s=WINDOW_S)
    playing = on_lab.walking("command", parameters=parameters, channel="release", timeout_s=120)
    until(
        "the clients run",
        lambda: sum(f"sleep {WINDOW_S}" in command for command in on_lab.leftovers().values()) == 3,
        deadline_s=60,
    )
    time.sleep(1)  # the middle of the window
    on_lab.lab.hosts["client2"].kill(int(on_lab.worker_pid("client2") or 0))
    playing.wait(120).failed()
    (line,) = [each for each in on_lab.run.samples if each["verdict"] == "failed"]
    print(line["reason"])
    assert line["reason"].startswith("client2: the worker died while sample 0 was in state 'running'")
    others = {host: about["verdict"] for host, about in line["hosts"].items() if host.startswith("client")}
    assert others == {"client1": "done", "client2": "failed", "client3": "done"}, "they had measured to the end"


def test_the_role_asks_the_ssh_server(on_lab: LabTrial) -> None:
    with keepalives(on_lab, 7):
        on_lab.prepare()
        assert {on_lab.known_worker(name)["netbench_worker"]["sshd_keepalive_s"] for name in on_lab.hosts} == {7}
    on_lab.prepare()
    assert {on_lab.known_worker(name)["netbench_worker"]["sshd_keepalive_s"] for name in on_lab.hosts} == {0}


def workers_that_know(trial: LabTrial, seconds: int | None) -> dict[str, Any]:
    known = {name: trial.known_worker(name)["netbench_worker"] for name in trial.hosts}
    return {name: {"netbench_worker": {**about, "sshd_keepalive_s": seconds}} for name, about in known.items()}


def test_the_witnesses_are_awake(on_lab: LabTrial) -> None:
    """One ordinary task over ssh is dozens of packets, and both the filter and the recorder see them."""
    host = on_lab.lab.hosts["server1"]
    with on_lab.lab.recorded_packets() as recording:
        host.count_packets()
        on_lab.prepare()
    print(len(recording.between(host.address)), host.packets().total)
    assert len(recording.between(host.address)) > 20
    assert host.packets().total > 20
