# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of the action plugin of the same name, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: coordinate
short_description: Step groups of hosts through the states of a benchmark
version_added: "0.1.0"
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Walks every sample of a plan that M(netbench.orchestrator.plan) has made. For each sample the groups are brought to
    C(ready), C(running) and C(done), in the order of the steps; clients are released together at one instant.
  - One task walks the whole run. From the start of the clients until they finish, nothing is sent to any host.
  - Outputs are fetched into the run's folder and verified on every path, also after a failure or Ctrl-C.
  - The same task, given the plan of an unfinished run, takes that run up.
options:
  plan:
    description: What M(netbench.orchestrator.plan) has returned, or the path of a C(plan.json).
    type: raw
    required: true
  steps:
    description:
      - The steps of each sample in order, instead of the workload's own.
    type: list
    elements: dict
    suboptions:
      group:
        description: A group of the plan.
        type: str
        required: true
      state:
        description: A state that its workers have.
        type: str
        required: true
  until:
    description:
      - Return when every step with this state is complete, and leave the processes running under their leases.
        A later task with the same O(plan) goes on from there.
    type: str
  lease:
    description:
      - How many seconds a worker goes on without hearing from a coordinator, beyond what the plan needs.
        After that it stops its processes by itself. It must cover your own tasks after O(until).
    type: float
    default: 30.0
  channel:
    description:
      - What becomes of the connections to the workers while clients run.
      - V(auto) lets go of those whose ssh server would send keepalives in the window (C(ClientAliveInterval)), and
        takes them up again after it. They are known from the role P(netbench.orchestrator.worker#role), or from packets
        that were counted in an earlier window of the run.
      - V(keep) lets go of none, V(release) of every one. A window whose length is not known keeps them all.
    type: str
    choices: [auto, keep, release]
    default: auto
notes:
  - The task runs once for all hosts of the play. With C(run_once) its result is registered on every host.
  - It refuses C(serial), and a play that has lost planned hosts.
  - Connections C(ssh) and C(local) can carry the channel to a worker.
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
    support: full
  bypass_host_loop:
    support: full
  check_mode:
    support: full
    details: The plan is shown by M(netbench.orchestrator.plan); no process is touched.
  connection:
    support: full
  delegation:
    support: none
  diff_mode:
    support: none
  platform:
    platforms: linux
seealso:
  - module: netbench.orchestrator.plan
  - module: netbench.orchestrator.report
"""

EXAMPLES = r"""
- name: Walk the whole run
  netbench.orchestrator.coordinate:
    plan: "{{ plan }}"
  run_once: true
  register: run

- name: Every sample was taken
  ansible.builtin.assert:
    that: run.verdict == 'ok'

- name: Bring everything to running, and come back
  netbench.orchestrator.coordinate:
    plan: "{{ plan }}"
    until: running
    lease: 120
  run_once: true

- name: Something of your own, while the benchmark runs
  ansible.builtin.command: tc qdisc show
  changed_when: false

- name: Go on to the end
  netbench.orchestrator.coordinate:
    plan: "{{ plan }}"
    until: done
  run_once: true
"""

RETURN = r"""
run_id:
  description: The run.
  type: str
  returned: always
folder:
  description: Where its results are.
  type: str
  returned: always
verdict:
  description:
    - V(ok) when every sample was taken, V(paused) after O(until). Anything else fails the task, with the same values in
      its result. V(partial) when the retry budget was used up, V(failed), V(aborted).
  type: str
  returned: always
reason:
  description: Why the verdict is not V(ok); names the host.
  type: str
  returned: always
paused:
  description: Whether the walk stopped at O(until).
  type: bool
  returned: success
missing:
  description: Hosts that the run has gone on without until its end, and why. The suite says C(on_host_failure=drop).
  type: dict
  returned: success
resumed:
  description: Whether an earlier coordinator had begun this run.
  type: bool
  returned: always
samples:
  description: Every attempt with its verdict.
  type: list
  elements: dict
  returned: always
  sample:
    - sample: 0
      attempt: 1
      verdict: ok
      reason: null
      start_skew_us: 41.3
      window_s: 10.01
"""
