# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from . import inventory, settings
from .commands import LabError
from .lab import Lab
from .setup import setup


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.py", description="Real test hosts (systemd, sshd) on this machine.")
    parser.add_argument("--name", help="name of the lab (default: $NETBENCH_LAB, or 'default')")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the lab have this many hosts, all answering")
    up.add_argument("--hosts", type=int, default=8, help="how many in all, half servers, half clients (default: 8)")
    up.add_argument("--servers", type=int, help="how many servers (with --clients, instead of --hosts)")
    up.add_argument("--clients", type=int, help="how many clients")
    commands.add_parser("down", help="remove everything the lab made")
    commands.add_parser("status", help="one line per host; exit status 1 when one is not well")
    commands.add_parser("setup", help="install what the lab needs (root on Debian or Ubuntu), or say what is missing")
    execute = commands.add_parser("exec", help="run a command in one host, not through ssh")
    execute.add_argument("host")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    return parser


def _say(message: str) -> None:
    print(message, flush=True)


def _up(lab: Lab, args: argparse.Namespace) -> int:
    started = time.monotonic()
    servers, clients = inventory.split(args.hosts)
    if args.servers is not None or args.clients is not None:
        servers, clients = args.servers or 0, args.clients or 0
    lab.up(servers, clients)
    option = "" if lab.settings.name == "default" else f"NETBENCH_LAB={lab.settings.name} "
    _say(
        f"lab {lab.settings.name}: {servers} servers and {clients} clients ready on {lab.subnet} "
        f"after {time.monotonic() - started:.1f} s\n"
        f"  {option}ansible-playbook incast.yml -i inventories/lab\n"
        f"  ssh -F {os.path.relpath(lab.state)}/ssh_config server1"
    )
    return 0


def _status(lab: Lab) -> int:
    known = lab.runtime.inspect(lab.runtime.containers())
    if not known:
        raise LabError(f"there is no lab {lab.settings.name!r}; `make lab` or `python3 tests/lab/lab.py up` makes one")
    ill = 0
    for name, host in lab.hosts.items():
        state = known.get(host.container, {}).get("State", {"Status": "gone", "Running": False})
        well = "ready"
        if state["Running"]:
            well = lab.missing(host, int(state["Pid"])) or well
        ill += well != "ready" or state["Status"] != "running"
        _say(f"{name:<10} {host.address:<14} {state['Status']:<8} {well if state['Running'] else ''}")
    return 1 if ill else 0


def _exec(lab: Lab, args: argparse.Namespace) -> int:
    if args.host not in lab.hosts:
        raise LabError(
            f"{args.host} is not a host of lab {lab.settings.name!r} ({', '.join(lab.hosts) or 'it is down'})"
        )
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    return subprocess.run(lab.hosts[args.host].enter(*(argv or ["bash", "-l"])), check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        chosen = settings.from_environment(os.environ, name=args.name)
        if args.command == "setup":
            setup(chosen, _say)
            return 0
        lab = Lab(chosen, _say)
        if args.command == "up":
            return _up(lab, args)
        if args.command == "down":
            lab.down()
            _say(f"lab {chosen.name}: gone")
            return 0
        return _status(lab) if args.command == "status" else _exec(lab, args)
    except LabError as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 1
