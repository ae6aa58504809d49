# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as a person reads it."""

from __future__ import annotations

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.table import describe


def test_table(planning):
    plan = planning.planned("command", grid={"duration": ["1s", "2500ms"]}, repeats=2, order="sequential")
    assert describe(plan, commands=False) == [
        "plan 20261121T110500Z-trial-abcd: workload command, 4 samples, seed 1",
        "  servers: s0, s1, s2",
        "  clients: c0, c1",
        "  steps: servers ready → clients ready → servers running → clients running → clients done → servers done",
        "  expected: 7s of measurement, beside the steps around it",
        "  sample  point  repeat  duration  expected",
        "       0      0       1         1     1.0 s",
        "       1      0       2         1     1.0 s",
        "       2      1       1       2.5     2.5 s",
        "       3      1       2       2.5     2.5 s",
    ]


def test_commands_are_shown_once_and_secrets_never(planning):
    groups, hosts = planning.bench(1, 1)
    hosts["c0"] = planning.host("c0", 1, secret_environment={"TOKEN": "canary-2"})
    plan = planning.planned("command", groups=groups, hosts=hosts, grid={"port": [1, 2]}, repeats=30)
    lines = describe(plan, commands=True)
    assert len([line for line in lines if line.startswith("  s0 (point")]) == 2
    text = "\n".join(lines)
    assert "TOKEN='********'" in text or "TOKEN=********" in text
    assert "canary-2" not in text
    assert "… and 40 more" in text
    same = planning.planned("command", groups=groups, hosts=hosts, repeats=30)
    assert len([line for line in describe(same, commands=True) if line.startswith("  s0 (point")]) == 1
