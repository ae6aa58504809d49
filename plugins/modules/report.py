# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of the action plugin of the same name, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Say what a run has measured
version_added: "0.1.0"
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Reads the folder that M(netbench.orchestrator.coordinate) has left and adds C(samples.csv), C(summary.json),
    C(manifest.json) and C(report.html). Prints a table of the samples.
  - Works on partial runs too, and says what is missing. It can be repeated at any time; the raw files stay as they are.
options:
  run:
    description: The run, by its id in O(results), as V(latest), or as the path of its folder.
    type: str
    default: latest
  results:
    description: The folder of all results.
    type: path
    default: results
  fail:
    description:
      - Fail the task, after everything is written, when a grid point has fewer V(ok) samples than wished.
    type: bool
    default: true
notes:
  - The task runs once for all hosts of the play, on the control node.
  - C(report.html) needs the Python library C(plotly) on the control node, t intervals need C(scipy). Without them there
    is a warning, and everything else is written.
requirements:
  - plotly (for C(report.html))
  - scipy (for t intervals in C(summary.json))
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.conn
  - ansible.builtin.action_common_attributes.flow
attributes:
  action:
    support: full
  async:
    support: none
  become:
    support: none
  bypass_host_loop:
    support: full
  check_mode:
    support: full
    details: Nothing is written.
  connection:
    support: none
  delegation:
    support: none
  diff_mode:
    support: none
  platform:
    platforms: posix
seealso:
  - module: netbench.orchestrator.coordinate
"""

EXAMPLES = r"""
- name: Report on the newest run, whatever became of it
  netbench.orchestrator.report:
    fail: false
  run_once: true
  register: result

- name: Goodput is what this network should give
  ansible.builtin.assert:
    that: result.headline.goodput_bps >= 9e9
"""

RETURN = r"""
run_id:
  description: The run.
  type: str
  returned: success
verdict:
  description:
    - V(ok) when every grid point has its wished number of ok samples; otherwise V(partial), or V(failed) or V(aborted)
      if that is how the run ended.
  type: str
  returned: success
folder:
  description: The run's folder.
  type: str
  returned: success
samples:
  description: Path of C(samples.csv), one row per sample and attempt.
  type: str
  returned: success
summary:
  description: Path of C(summary.json), statistics per grid point.
  type: str
  returned: success
manifest:
  description: Path of C(manifest.json), what ran on what.
  type: str
  returned: success
report:
  description: Path of C(report.html); null when the chart library is missing.
  type: str
  returned: success
headline:
  description:
    - The few figures that are also put into the run's custom statistics. RV(headline.goodput_bps) is one number, or a
      mapping from grid point to number when there are several.
  type: dict
  returned: success
  contains:
    run_id:
      description: The run.
      type: str
    verdict:
      description: As RV(verdict).
      type: str
    samples_ok:
      description: How many samples are ok.
      type: int
    samples_wanted:
      description: How many were wished.
      type: int
    goodput_bps:
      description: Median goodput of the receivers inside the window, bit/s.
      type: raw
    start_skew_max_us:
      description: The largest start skew of an ok sample, µs.
      type: float
  sample:
    run_id: 20261121T110500Z-incast-k3fq
    verdict: ok
    samples_ok: 6
    samples_wanted: 6
    goodput_bps: 9412345678.0
    start_skew_max_us: 41.3
"""
