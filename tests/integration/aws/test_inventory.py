# SPDX-License-Identifier: GPL-3.0-or-later
"""`inventories/aws`: what it makes of instances, and that Ansible reaches them with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from netbench_lab.cloud import AWS, Cloud


def listed(cloud: Cloud, *args: str) -> dict[str, Any]:
    done = cloud.ansible("ansible-inventory", "-i", AWS, "--list", *args)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return json.loads(done.stdout)


def variable(cloud: Cloud, host: str, expression: str, *args: str) -> str:
    """What a template gives for a host."""
    command = ("ansible", host, "-i", AWS, "-m", "debug", "-a", f"msg={{{{ {expression} }}}}", *args)
    done = cloud.ansible(*command, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
    found = re.search(r'"msg": "(.*)"', done.stdout)
    return found[1].replace('\\"', '"') if found else done.stdout + done.stderr


def test_tags_make_groups_and_private_addresses_carry_the_benchmark(cloud: Cloud) -> None:
    ids = cloud.launch({"server1": "198.18.200.2", "server2": "198.18.200.4", "client1": "198.18.200.3"})
    cloud.launch({"server9": "198.18.201.2"}, netbench="somebody else's")
    cloud.launch({"other1": "198.18.202.2"})
    stopped = cloud.launch({"client8": "198.18.203.3"})
    cloud.ec2.stop_instances(InstanceIds=list(stopped.values()))
    inventory = listed(cloud)
    assert set(inventory["servers"]["hosts"]) == {ids["server1"], ids["server2"]}
    assert inventory["clients"]["hosts"] == [ids["client1"]]
    addresses = {host: v["netbench_address"] for host, v in inventory["_meta"]["hostvars"].items()}
    assert {host: address["__ansible_unsafe"] for host, address in addresses.items()} == {
        ids["server1"]: "198.18.200.2",
        ids["server2"]: "198.18.200.4",
        ids["client1"]: "198.18.200.3",
    }


def test_another_testbed_by_its_name(cloud: Cloud) -> None:
    ids = cloud.launch({"server1": "198.18.200.2"}, netbench="night")
    done = cloud.ansible("ansible-inventory", "-i", AWS, "--list", NETBENCH_TESTBED="night")
    assert json.loads(done.stdout)["servers"]["hosts"] == [ids["server1"]]


def test_one_variable_chooses_how_ssh_gets_there(cloud: Cloud) -> None:
    host = cloud.launch({"server1": "198.18.200.2"}, public=True)["server1"]
    (instance,) = cloud.instances()
    assert variable(cloud, host, "ansible_host") == instance["PublicIpAddress"]
    assert variable(cloud, host, "ansible_host", "-e", "netbench_ssh=private") == "198.18.200.2"
    assert variable(cloud, host, "ansible_host", "-e", "netbench_ssh=ssm") == host
    assert variable(cloud, host, "ansible_ssh_common_args", "-e", "netbench_ssh=ssm") == (
        f"-o HostKeyAlias={host} -o StrictHostKeyChecking=yes "
        '-o ProxyCommand="aws ssm start-session --region eu-central-1 --target %h '
        '--document-name AWS-StartSSHSession --parameters portNumber=%p"'
    )
    assert "expected public, private or ssm" in variable(cloud, host, "ansible_host", "-e", "netbench_ssh=tunnel")


def test_an_instance_without_public_address_says_what_to_do(cloud: Cloud) -> None:
    host = cloud.launch({"server1": "198.18.200.2"})["server1"]
    said = variable(cloud, host, "ansible_host")
    assert f"{host} has no public address: set netbench_ssh to private or ssm" in said


def test_lab_hosts_as_instances_answer_with_strict_host_keys(cloud: Cloud, lab_of: Any, tmp_path: Path) -> None:
    lab = lab_of(servers=2, clients=1)
    variables = cloud.stand_behind(lab, tmp_path)
    names = {row["PrivateIpAddress"]: row["InstanceId"] for row in cloud.instances()}
    ids = {name: names[host.address] for name, host in lab.hosts.items()}
    options = ("-i", AWS, "-m", "command", "-a", "hostname", "-e", json.dumps(variables))
    done = cloud.ansible("ansible", "all", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dict(re.findall(r"^(i-\w+) \| CHANGED .*\n(\w+)$", done.stdout, re.M)) == {
        instance: name for name, instance in ids.items()
    }
    known = tmp_path / "known_hosts"
    _id, key = known.read_text().splitlines()[0].split(" ", 1)
    known.write_text(f"{ids['client1']} {key}\n")  # the key of another host
    variables["ansible_control_path"] = "none"
    refused = cloud.ansible("ansible", ids["client1"], *options[:-1], json.dumps(variables))
    assert "Host key verification failed" in refused.stdout + refused.stderr
