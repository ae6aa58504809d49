# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of the action plugin of the same name, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Expand a suite into the plan of a run, and check it before any host is touched
version_added: "0.1.0"
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Takes a suite (a workload, the values to try, the number of repeats) and the hosts of the play, and writes
    C(plan.json), which M(netbench.orchestrator.coordinate) walks.
  - Everything that can be checked is checked here, on the control node. That covers keys, units and placeholders, the
    number of hosts against the workload and the scenario, addresses and ports that are used twice, the driver, and
    the results folder. A mistake is reported with its file and line.
  - The order of the samples is drawn from the suite's C(seed). With C(order=interleaved), each repeat is a random
    permutation of all points.
options:
  suite:
    description:
      - The suite as a mapping, or the path of a YAML file that holds it. A bare name is looked for in the folder
        C(suites).
      - Its keys are C(name), C(workload), C(parameters), C(grid), C(repeats), C(seed), C(order), C(retry_budget),
        C(max_start_skew), C(on_host_failure), C(steps), C(matrix), C(tests), C(warm_up), C(cool_down),
        C(continue_on_error), C(expectations), C(confidence), C(percentiles) and C(profile).
      - C(profile) is the path of a profile of netperf-orchestrate, or the name of one of ours, V(baseline),
        V(throughput), V(latency), V(stress), V(cloud), V(datacenter), V(wireless), V(jitter), V(lossy) or
        V(mixed-workload). What else the suite says comes before what the profile says.
    type: raw
    required: true
  workload:
    description:
      - The workload as a mapping, the path of a YAML file, or a name, V(netbench), V(pynetbench), V(command), or that
        of a file in the folder C(workloads) of the playbook or the role.
      - The default is the suite's own C(workload).
    type: raw
  groups:
    description:
      - For each group of the workload its hosts. A value is an inventory group or a host, several of them joined by a
        colon or comma, or a list of such.
      - The default is the inventory group of the same name.
      - Of an inventory group, the hosts that this play has count.
    type: dict
  steps:
    description:
      - The steps of each sample in order, instead of those of the suite or the workload.
    type: list
    elements: dict
    suboptions:
      group:
        description: A group of the workload.
        type: str
        required: true
      state:
        description: A state of that group.
        type: str
        required: true
  results:
    description: The folder on the control node, relative to the current one, that gets a folder for each run.
    type: str
    default: results
  run_id:
    description:
      - The name of the run. The default is the time, the suite's name and four random characters.
      - When the results hold a plan of this name for the same samples on the same hosts, that plan is used, so that
        its run can be taken up.
    type: str
  resume:
    description:
      - V(auto) takes up the newest run in O(results) with the same samples, programs and hosts that was left before its
        end. Samples that it has are kept, workers that still measure are adopted.
      - V(never) begins a new run. Any other value is the name of a run to take up.
    type: str
    default: auto
notes:
  - The task runs once for all hosts of the play. Use it with C(run_once) so that its result is registered on every
    host.
  - It refuses C(serial), and a play that has lost hosts that the plan needs.
  - Of each host these variables or facts are read, C(netbench_address) (default C(ansible_host), then the inventory
    name), C(netbench_bind_address) (default that address, if it is an IP address), C(netbench_port),
    C(netbench_interface), C(netbench_environment), C(netbench_secret_environment), C(netbench_tools) and
    C(netbench_worker).
  - C(plan.json) is readable by its owner only, since environments may hold secrets.
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
    details: Writes nothing, and shows the samples, the expected duration and each host's commands on the terminal.
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
- name: Plan three repeats of two response sizes
  netbench.orchestrator.plan:
    suite:
      name: sizes
      workload: pynetbench
      parameters: {duration: 5s}
      grid: {response_size: [1MB, 10MB]}
      repeats: 3
  register: plan
  run_once: true

- name: It has six samples
  ansible.builtin.assert:
    that: plan.samples == 6

- name: Plan with groups of another name
  netbench.orchestrator.plan:
    suite: suites/nightly.yml
    groups:
      servers: backend
      clients: [load1, load2]
  register: plan
  run_once: true
"""

RETURN = r"""
run_id:
  description: The run.
  type: str
  returned: success
  sample: 20261121T110500Z-sizes-k3vx
path:
  description: The file that was written, for O(netbench.orchestrator.coordinate#module:plan).
  type: str
  returned: success
folder:
  description: The folder of the run.
  type: str
  returned: success
sha256:
  description: The digest of the plan's content.
  type: str
  returned: success
samples:
  description: How many samples the run has.
  type: int
  returned: success
expected_s:
  description: Expected seconds of measurement in all samples together, null when the workload cannot know.
  type: float
  returned: success
groups:
  description: The hosts of each group, in the order of their index.
  type: dict
  returned: success
table:
  description: The plan for people, line by line.
  type: list
  elements: str
  returned: success
"""
