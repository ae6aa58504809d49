# SPDX-License-Identifier: GPL-3.0-or-later
"""What every run that went wrong owes its user, as one check."""

from __future__ import annotations

from typing import Any

from .trial import Finished, Trial


def went_wrong(
    trial: Trial,
    finished: Finished,
    *,
    verdict: str = "failed",
    culprit: str,
    because: tuple[str, ...],
    within_s: float,
) -> dict[str, Any]:
    """The playbook failed in time and says whose fault it is and why; results and samples.csv say the same.

    Returns the line of the last sample. That no process and no port is left, the fixtures check.
    """
    finished.failed()
    print(f"{finished.elapsed_s:.1f} s, exit status {finished.status}")
    assert finished.elapsed_s < within_s
    line = trial.run.samples[-1]
    print(f"{line['verdict']}: {line['reason']}")
    assert line["verdict"] == verdict
    assert line["reason"].startswith(f"{culprit}: "), line["reason"]
    for words in because:
        assert words in line["reason"], f"{words!r} is not in {line['reason']!r}"
        assert words in " ".join(finished.output.split()), f"{words!r} is not in what the user sees:\n{finished.output}"
    assert line["hosts"][culprit]["verdict"] in ("failed", "lost")
    assert not trial.leftovers(), "every process of every host is gone when the playbook ends"
    end = trial.run.of("end")[-1]
    assert end["verdict"] == verdict
    row = trial.run.rows[-1]
    assert (row["verdict"], row["reason"]) == (verdict, line["reason"])
    trial.run.check_seals()
    return line
