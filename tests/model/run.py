# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks the barrier: every order of events of coordinator and workers together, then random schedules.

    .venv/bin/python tests/model/run.py [--only 3x3] [--schedules 100000] [--seed 1]
    .venv/bin/python tests/model/run.py --servers 2 --clients 3 --faults crash,loss

Without ``--faults`` every search in ``SEARCHES`` is made in turn: 17 million worlds, 75 s of a processor. Ends with 1
when a promise is broken, and prints the shortest way there. What is promised is in barrier_model.promises, what can
happen in barrier_model.host and .world.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / ".collections"), str(Path(__file__).resolve().parent)]

from barrier_model.mutations import MUTATIONS  # noqa: E402
from barrier_model.schedules import Player, drawn  # noqa: E402
from barrier_model.search import Search, TooMany  # noqa: E402
from barrier_model.world import FAULTS, Model, placements  # noqa: E402

Faults = tuple[str, ...]

SEARCHES: tuple[tuple[int, int, Faults], ...] = (
    *((3, 3, faults) for faults in ((), ("loss",), ("duplicate",), ("delay",))),
    *((2, 2, faults) for faults in (("crash",), ("loss", "duplicate"), ("loss", "delay"), ("duplicate", "delay"))),
    *((1, 2, faults) for faults in (("crash", "loss"), ("crash", "duplicate"), ("crash", "delay"))),
)
ROW = "{:6} {:34} {:>12} {:>13} {:>5} {:>8} {:>7}"


def search(servers: int, clients: int, faults: Faults, limit: int) -> bool:
    """One row of the table; False when a promise is broken or the search is not finished."""
    size, name = f"{servers} x {clients}", " + ".join(faults) or "nothing goes wrong"
    model = Model(servers, clients)
    starts = placements(model, faults)
    began_s = time.process_time()

    def progress(level: int, rows: int, worlds: int, transitions: int) -> None:
        if sys.stderr.isatty():
            said = f"{size}, {name}: {level} deep, {worlds:,} worlds, {transitions:,} transitions"
            print(f"\r{said} ", end="", file=sys.stderr)

    try:
        result = Search(model, limit=limit).run(starts, progress)
    except TooMany as problem:
        print(f"{size:6} {name:34} NOT FINISHED: {problem}", flush=True)
        return False
    seconds = time.process_time() - began_s
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    figures = (f"{result.worlds:,}", f"{result.transitions:,}", result.levels, f"{seconds:.1f}", f"{memory_mb:,}")
    print(("\r" if sys.stderr.isatty() else "") + ROW.format(size, name, *figures), flush=True)
    if result.problem:
        print(f"BROKEN: {result.problem}\n  " + "\n  ".join(result.trace), flush=True)
    return not result.problem


def mutate() -> bool:
    """Whether every machine that is broken on purpose is found out."""
    missed = []
    for name, mutation in MUTATIONS.items():
        model = Model(mutation.servers, 1, **mutation.steps)
        if Search(model).run(placements(model, mutation.faults)).problem != mutation.finding:
            missed.append(name)
    print(f"{len(MUTATIONS) - len(missed)} of {len(MUTATIONS)} machines that are broken on purpose are found out")
    if missed:
        print(f"MISSED: {', '.join(missed)}")
    return not missed


def play(count: int, seed: int) -> bool:
    """Random schedules; the first that breaks a promise is made short and printed."""
    player = Player()
    began_s = time.process_time()
    for number in range(seed, seed + count):
        failure = player.play(drawn(number))
        if failure:
            short = player.shrink(failure)
            print(f"BROKEN by the schedule of seed {number}: {short.problem}\n{short.schedule}")
            print("\n".join(short.trace))
            return False
    verdicts = ", ".join(f"{times:,} {verdict}" for verdict, times in player.verdicts.most_common())
    seconds = time.process_time() - began_s
    print(f"{count:,} random schedules, seeds {seed} to {seed + count - 1}, in {seconds:.1f} s: {verdicts}")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--faults", help=f"together, of {','.join(FAULTS)}; empty: none")
    parser.add_argument("--only", default="", help="searches of this size, as 3x3")
    parser.add_argument("--limit", type=int, default=60_000_000, help="worlds in one search")
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    searches = [each for each in SEARCHES if options.only in ("", f"{each[0]}x{each[1]}")]
    if options.faults is not None:
        searches = [(options.servers, options.clients, tuple(filter(None, options.faults.split(","))))]
    print(ROW.format("size", "what goes wrong, once each", "worlds", "transitions", "deep", "CPU s", "peak MB"))
    results = [search(*each, options.limit) for each in searches]
    return 0 if all([*results, mutate(), play(options.schedules, options.seed)]) else 1


if __name__ == "__main__":
    sys.exit(main())
