# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of `make bench`: measurements in, text out."""

from __future__ import annotations

from typing import Any

BARRIER_GOALS_MS = {10: 20, 100: 100, 1000: 250}
Line = tuple[str, list[str], str]  # measure, one value for each column, goal


def hosts(rows: list[dict[str, Any]]) -> str:
    """The barrier on lab hosts, a column for each number of clients."""

    def ratio(row: dict[str, Any]) -> str:
        return f"{row['start_skew_p50_us'] / max(row['floor_p50_us'], 0.1):.2f}"

    return _columns(
        [
            ("clients, beside one server", [str(r["clients"]) for r in rows], ""),
            ("ok samples (not ok)", [f"{r['samples']} ({r['not_ok']})" for r in rows], ""),
            ("start skew p50 / p99, µs", [_pair(r, "start_skew") for r in rows], ""),
            ("its error bound p50, µs", [f"± {r['start_skew_error_p50_us']:.0f}" for r in rows], ""),
            ("truth p50 / p99, µs", [_pair(r, "true_skew") for r in rows], ""),
            ("truth within reported ± error", [f"{r['true_within_error']}/{r['samples']}" for r in rows], "≥ 99 %"),
            ("floor p50 / p99, µs", [_pair(r, "floor") for r in rows], ""),
            ("floor that spins, p50, µs", [f"{r['spinning_floor_p50_us']:.1f}" for r in rows], ""),
            ("start skew / floor (p50)", [ratio(r) for r in rows], "≤ 1.5"),
            ("Ansible async playbook, skew, ms", [f"{r['naive_skew_ms']:.0f}" for r in rows], ""),
            ("barrier p50, ms", [f"{r['barrier_p50_ms']:.1f}" for r in rows], ""),
            ("packets in window", [str(r["packets_in_window"]) for r in rows], "0"),
            ("packets per worker and walk", [str(r["packets_per_worker_and_walk"]) for r in rows], "≤ 30"),
            ("beside the window per repeat", [f"{r['beside_window_s']:.2f} s" for r in rows], "≤ 1 s at 20 hosts"),
            ("connecting all hosts", [f"{r['connect_s']:.1f} s" for r in rows], ""),
            ("second run beside the window", [f"{r['second_run_s']:.1f} s" for r in rows], "≤ 10 s (16 clients)"),
            ("Ansible tasks per sample", [f"{r['tasks_per_sample']:g}" for r in rows], "0"),
        ]
    )


def simulated(rows: list[dict[str, Any]]) -> str:
    """The coordinator with simulated workers, a column for each number of them."""
    goals = ", ".join(f"{BARRIER_GOALS_MS[r['workers']]}" for r in rows if r["workers"] in BARRIER_GOALS_MS)
    return _columns(
        [
            ("simulated workers, one process", [str(r["workers"]) for r in rows], ""),
            ("ok samples", [str(r["samples"]) for r in rows], ""),
            (
                "barrier p50 / max, ms",
                [f"{r['barrier_p50_ms']:.1f} / {r['barrier_max_ms']:.1f}" for r in rows],
                f"≤ {goals}",
            ),
            ("redis streams, barrier p50, ms", [_redis(r, "barrier_p50_ms") for r in rows], ""),
            ("redis streams, skew on release, µs", [_redis(r, "skew_p50_us") for r in rows], ""),
            ("error bound of the start skew p50, µs", [f"± {r['start_skew_error_p50_us']}" for r in rows], ""),
            ("beside the window per repeat", [f"{r['beside_window_s']:.2f} s" for r in rows], ""),
            ("connecting all", [f"{r['connect_s']:.1f} s" for r in rows], ""),
            ("memory above ansible-core, MB", [f"{r['memory_above_ansible_mb']:.0f}" for r in rows], "≤ 200"),
            ("coordinator's share of a core", [f"{r['cpu_share']:.2f}" for r in rows], "≤ 1"),
        ]
    )


def window(found: dict[str, Any]) -> str:
    """A worker's cost while members measure."""
    rows = [found["without_sampler"], found["with_sampler"]]
    return _columns(
        [
            (f"worker in a window of {rows[0]['seconds']:.0f} s", ["no sampler", "sampler"], ""),
            ("processor, % of a core", [f"{r['cpu_percent_of_a_core']:.3f}" for r in rows], "≤ 0.1, ≤ 0.5"),
            ("wake-ups", [str(r["wake_ups"]) for r in rows], "timer and child only"),
        ]
    )


def many(found: dict[str, Any]) -> str:
    """One large run on real SSH hosts."""
    return _columns(
        [
            ("real SSH hosts in one run", [str(found["hosts"])], "100"),
            ("ok samples (not ok)", [f"{found['samples']} ({found['not_ok']})"], ""),
            ("connecting all, Ansible's connections open", [f"{found['connect_s']:.1f} s"], "≤ 15 s"),
            ("connecting all, none open", [f"{found['connect_cold_s']:.1f} s"], "≤ 15 s"),
            ("barrier p50, ms", [f"{found['barrier_p50_ms']:.1f}"], ""),
            ("beside the window per repeat", [f"{found['beside_window_s']:.2f} s"], ""),
        ]
    )


def matrix(rows: list[dict[str, Any]]) -> str:
    """All pairs in three ways, a column for each; or why it was not measured."""
    if why := rows[0].get("skipped"):
        return f"SKIPPED: matrix: {why}"
    return _columns(
        [
            (f"{rows[0]['pairs']} pairs", [r["way"] for r in rows], ""),
            ("rounds", [str(r["rounds"] or "-") for r in rows], ""),
            ("time, s", [f"{r['seconds']:.1f}" for r in rows], ""),
            ("lowest pair, Mbit/s", [f"{r['lowest_mbps']:.1f}" for r in rows], ""),
            ("median pair, Mbit/s", [f"{r['median_mbps']:.1f}" for r in rows], ""),
            ("highest pair, Mbit/s", [f"{r['highest_mbps']:.1f}" for r in rows], ""),
            ("standard deviation / mean", [f"{r['variation_pct']:.1f} %" for r in rows], ""),
            (
                f"within 5 % of what a link carries ({rows[0]['carries_mbps']:.1f})",
                [f"{r['within_5_pct']}/{r['pairs']}" for r in rows],
                "",
            ),
        ]
    )


def _pair(row: dict[str, Any], name: str) -> str:
    return f"{row[f'{name}_p50_us']:.0f} / {row[f'{name}_p99_us']:.0f}"


def _redis(row: dict[str, Any], name: str) -> str:
    return str(row["redis"].get(name, "SKIPPED"))


def _columns(lines: list[Line]) -> str:
    """One line per measure, its values right-aligned in columns, and its goal."""
    width = max(len(name) for name, _values, _goal in lines)
    columns = [max(len(values[i]) for _name, values, _goal in lines) for i in range(len(lines[0][1]))]
    text = []
    for name, values, goal in lines:
        cells = "  ".join(value.rjust(column) for value, column in zip(values, columns, strict=True))
        text.append(f"{name.ljust(width)}  {cells}" + (f"   goal {goal}" if goal else ""))
    return "\n".join(text)
