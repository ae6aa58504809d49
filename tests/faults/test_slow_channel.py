# SPDX-License-Identifier: GPL-3.0-or-later
"""A channel that is quick when clocks are surveyed and slow when T0 is told: late, said at once, and retried."""

from __future__ import annotations

import sys

from netbench_trial.programs import pair
from netbench_trial.trial import LocalTrial

DELAY_S = 0.6
LIMIT_NS = 2_000_000_000

# Stands where a worker's program is expected, and passes everything on; only an instant waits.
RELAY = """\
import os, subprocess, sys, time
command = [{python!r}, {program!r}, *sys.argv[1:]]
if sys.argv[1] != "attach":
    os.execv(command[0], command)
child = subprocess.Popen(command, stdin=subprocess.PIPE)
for line in sys.stdin.buffer:
    if b'"at_ns":' in line and b'"at_ns":null' not in line:
        time.sleep({delay_s})
    child.stdin.write(line)
    child.stdin.flush()
child.stdin.close()
sys.exit(child.wait())
"""


def test_a_host_that_is_told_of_t0_too_late_says_so_and_has_the_time_it_needs_the_next_time(local: LocalTrial) -> None:
    known = local.known_worker("client2")["netbench_worker"]
    relay = local.folder / "relay.py"
    relay.write_text(RELAY.format(python=known["python"], program=known["program"], delay_s=DELAY_S))
    local.write_inventory(client2={"netbench_worker": {**known, "program": str(relay), "python": sys.executable}})
    finished = local.walk("command", parameters=pair(duration_s=0.5), repeats=2, retry_budget=2).ok()
    run = local.run
    leads_ms = [round(each["lead_ns"] / 1e6) for each in run.of("t0")]
    print(f"{finished.elapsed_s:.1f} s; leads {leads_ms} ms; {[line['verdict'] for line in run.samples]}")
    first, *others = run.samples
    assert (first["verdict"], first["reason"]) == ("invalid", "client2: was told of T0 too late to keep it")
    assert [process["start_ns"] for process in first["hosts"]["client2"]["processes"]] in ([], [None])
    assert [line["verdict"] for line in others] == ["ok", "ok"], "one late answer is enough to know better"
    assert leads_ms[0] < DELAY_S * 1e3 < min(leads_ms[1:])
    assert max(each["lead_ns"] for each in run.of("t0")) <= LIMIT_NS
    for line in others:
        t0_ns, client = line["t0_ns"], line["hosts"]["client2"]
        late_ms = (client["processes"][0]["start_ns"] - client["offset_ns"] - t0_ns) / 1e6
        print(f"client2 started {late_ms:.2f} ms after T0")
        assert late_ms < DELAY_S * 1e3 / 2, "nobody runs skewed"
