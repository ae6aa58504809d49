# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of docs/from-netperf-orchestrate.md, run as they stand there, on lists of hosts as people have them.

Not the page's own: the hosts of the lists are on this machine, netperf is a stand-in (lab hosts have the real one), and
30 s of a test are one. What is not run here: the tags, by test_kept_servers.py; `netperf_source: binary`, on lab hosts;
other suites are planned by the unit tests of the page.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from netbench_trial import processes
from netbench_trial.programs import NETPERF
from netbench_trial.trial import ROOT, LocalTrial

PAGE = (ROOT / "docs/from-netperf-orchestrate.md").read_text(encoding="utf-8")
ROWS = [row.split(" | ") for row in PAGE.split("## Commands")[1].split("##")[0].splitlines() if row.startswith("| ")]
THERE = (
    *("--check", "--deploy", "--deploy --local-netserver F", "--start", "--hosts hosts.yaml", "--matrix clients.txt"),
    *("--parallel", "--sequential", "--profile throughput", "--export results.json", "--netperf P --netserver P", "-v"),
)


def words_for(there: str) -> list[str]:
    """What the page says for a command of netperf-orchestrate that begins like that, without ``PLAY``."""
    said = next(here for row, here, *_more in ROWS if row.startswith(f"| `{there}"))
    command = re.search(r"`((?:PLAY|-e) [^`]*)`", said)
    assert command, said
    return shlex.split(command[1].removeprefix("PLAY "))


@pytest.fixture
def lists(local: LocalTrial, tmp_path: Path) -> Iterator[Path]:
    """hosts.yaml, clients.txt and servers.txt."""
    hosts = [f"- {{name: {name}, address: {address}, role: {name[:6]}}}" for name, address in local.addresses.items()]
    (tmp_path / "hosts.yaml").write_text("\n".join(["hosts:", *hosts, ""]))
    for group in ("client", "server"):
        addresses = [address for name, address in local.addresses.items() if name.startswith(group)]
        (tmp_path / f"{group}s.txt").write_text("\n".join([f"# the {group}s", *addresses, ""]))
    yield tmp_path
    for pid in filter(None, map(local.worker_pid, local.addresses.values())):
        os.kill(pid, signal.SIGTERM)


def run(local: LocalTrial, lists: Path, words: list[str]) -> Path:
    """Run the page's words to their end; the folder of the results."""
    given = [str(lists / word) if (lists / word).exists() else word.replace('"30s"', '"1s"') for word in words]
    here = {
        **NETPERF,
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "worker_mode": "user",
        "netbench_environment": {processes.MARK: local.token},
        "run_results": str(lists / "results"),
        "run_max_start_skew": "1s",
    }
    own, local.inventory = local.inventory, lists / given[given.index("-i") + 1]
    try:
        local.play(ROOT / "playbooks/netperf.yml", *given, timeout_s=120, **here).ok()
    finally:
        local.inventory = own
    return (lists / "results/latest").resolve()


def test_every_command_of_the_original_is_on_the_page() -> None:
    for there in THERE:
        assert any(row.startswith(f"| `{there}") for row, *_more in ROWS), there


def test_a_test_with_arguments_behind_the_dashes(local: LocalTrial, lists: Path) -> None:
    folder = run(local, lists, [*words_for("--hosts hosts.yaml"), "-v"])
    plan = json.loads((folder / "plan.json").read_text())
    command = plan["workers"]["client1"]["document"]["points"][0]["processes"][0]["command"]
    assert command[command.index("--") + 1 :][:4] == ["-d", "send", "-o", "THROUGHPUT,P50_LATENCY,P99_LATENCY"]
    first = json.loads((folder / "coordinator.jsonl").read_text().splitlines()[0])
    assert first["versions"]["tool_versions"] == {"netperf": "2.7.0"}
    assert "THROUGHPUT=" in next(folder.glob("hosts/client1/0000/client.stdout")).read_text()


def test_a_matrix_of_two_lists_with_export_and_statistics(local: LocalTrial, lists: Path) -> None:
    folder = run(local, lists, words_for("--matrix clients.txt"))
    rows = json.loads((folder / "export.json").read_text())
    assert [row["success"] for row in rows] == [True] * 4
    names = "client, server, client_address, server_address, success, exit_code, elapsed_time, stdout, stderr, command"
    assert list(rows[0])[:10] == names.split(", ")
    with (folder / "pairs.csv").open() as file:
        assert {(row["client"], row["server"]) for row in csv.DictReader(file)} == {
            (row["client"], row["server"]) for row in rows
        }
    assert len(json.loads((folder / "summary.json").read_text())["points"]) == 4
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(("there", "mode"), [("--parallel", "together"), ("--sequential", "sequential")])
def test_pairs_all_at_once_or_one_after_the_other(local: LocalTrial, lists: Path, there: str, mode: str) -> None:
    assert any(row.startswith(f"| `{there}`") and f'"matrix": "{mode}"' in here for row, here, *_more in ROWS)
    suite = json.dumps({"run_suite": {"matrix": mode}, "run_parameters": {"duration": "1s"}})
    folder = run(local, lists, ["-i", "clients.txt", "-i", "servers.txt", "-e", suite])
    with (folder / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["sample"] for row in rows}) == (1 if mode == "together" else 4)
    assert {row["verdict"] for row in rows} == {"ok"}
    assert all(row["success"] for row in json.loads((folder / "export.json").read_text()))


def test_a_profile_that_is_carried_out_in_seconds(local: LocalTrial, lists: Path) -> None:
    """The shipped one, but that its times are short."""
    shipped = (ROOT / "plugins/plugin_utils/_planning/profiles/throughput.yml").read_text(encoding="utf-8")
    quick = re.sub(
        r"global: \{duration: 20s, warmup: 5s, cooldown: 2s", "global: {duration: 1s, warmup: 1s, cooldown: 1s", shipped
    )
    (lists / "throughput.yml").write_text(re.sub(r"repeats: 6", "repeats: 1", quick))
    mine = json.dumps(str(lists / "throughput.yml"))
    folder = run(local, lists, [word.replace('"throughput"', mine) for word in words_for("--profile throughput")])
    with (folder / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    tests = ["one stream", "one stream back", "four streams", "eight streams"]
    assert [(row["param.test_name"], row["verdict"]) for row in rows] == [(name, "ok") for name in tests]
    assert all(float(row["goodput_bps"]) > 0 for row in rows)
