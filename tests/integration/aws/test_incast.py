# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on `inventories/aws`, and what it says when something is missing there."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from netbench_lab.cloud import AWS, Cloud

INCAST = ("incast.yml", "-i", AWS)


def test_incast_runs_on_instances(cloud: Cloud, lab_of: Any, tmp_path: Path) -> None:
    lab = lab_of(servers=2, clients=1)
    variables = {
        **cloud.stand_behind(lab, tmp_path),
        "run_results": str(tmp_path / "results"),
        "run_max_start_skew": "1s",
    }
    done = cloud.ansible("ansible-playbook", *INCAST, "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    folder = (tmp_path / "results/latest").resolve()
    with (folder / "samples.csv").open() as lines:
        assert [row["verdict"] for row in csv.DictReader(lines)] == ["ok"]
    hosts = json.loads((folder / "manifest.json").read_text())["hosts"]
    assert {host["address"] for host in hosts.values()} == {host.address for host in lab.hosts.values()}
    assert all(name.startswith("i-") for name in hosts)


@pytest.mark.parametrize(
    ("environ", "ansible_says"),
    [
        ({"ANSIBLE_COLLECTIONS_PATH": ".collections"}, "unknown plugin 'amazon.aws.aws_ec2'"),
        ({"PYTHONPATH": "{no_boto3}"}, "Failed to import the required Python library"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
        ({}, "No inventory was parsed|provided hosts list is empty"),
    ],
    ids=["no collection", "no boto3", "no credentials", "no instances"],
)
def test_what_is_missing_is_said_with_the_way_out(
    cloud: Cloud, tmp_path: Path, environ: dict[str, str], ansible_says: str
) -> None:
    (tmp_path / "boto3.py").write_text("raise ImportError('not here')\n")
    nowhere = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    filled = {name: value.format(no_boto3=tmp_path) for name, value in environ.items()}
    done = cloud.ansible("ansible-playbook", *INCAST, **nowhere, **filled)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(ansible_says, done.stderr), done.stderr
    said = done.stdout + done.stderr
    assert "The EC2 inventory found no instances" in said
    for way_out in (
        "ansible-galaxy collection install amazon.aws",
        f"{sys.executable} -m pip install boto3",
        "AWS_PROFILE, or AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION (now eu-central-1)",
        "netbench=default, netbench_group=servers or clients",
    ):
        assert way_out in said
    assert "PLAY [Prepare the hosts]" not in said
