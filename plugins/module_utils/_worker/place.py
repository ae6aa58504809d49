# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an instance of the worker lives, and whose rights to use there. Private to this collection.

Imports next to nothing: ``attach`` has to be quick.
"""

from __future__ import annotations

import os
import stat

from .errors import StorageError

DEFAULT_INSTANCE = "default"
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_SOCKET = "worker.sock"
_SOCKET_PATH_LIMIT = 107  # sun_path, unix(7)


def folders(instance: str, state_dir: str | None, runtime_dir: str | None) -> tuple[str, str]:
    """The state and the runtime directory of an instance: root has the system's, everybody else their own."""
    if not 0 < len(instance) <= 100 or instance[0] not in _LETTERS or set(instance) - _LETTERS - set("_.-"):
        raise StorageError(f"{instance!r} is no name for an instance: letters, digits, '_', '.', '-'.")
    uid = os.getuid()
    if uid == 0:
        state, runtime = "/var/lib/netbench-worker", "/run/netbench-worker"
    else:
        home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
        state, runtime = os.path.join(home, "netbench-worker"), shared_runtime(uid)
    state, runtime = state_dir or os.path.join(state, instance), runtime_dir or os.path.join(runtime, instance)
    if len(os.fsencode(socket_in(runtime))) > _SOCKET_PATH_LIMIT:
        raise StorageError(f"{socket_in(runtime)} is too long for a socket: choose a shorter --runtime-dir.")
    return state, runtime


def shared_runtime(uid: int) -> str:
    """The parent of a user's runtime directories, in a folder where everybody may write."""
    return f"/tmp/netbench-worker-{uid}"


def socket_in(runtime: str) -> str:
    return os.path.join(runtime, _SOCKET)


def give_up_root(state: str) -> None:
    """When root: take on the rights of the state directory's owner, for good. Without the directory nothing happens."""
    if os.geteuid() != 0:
        return
    try:
        found = os.lstat(state)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise StorageError(f"{state} is not a directory.")
    if found.st_uid == 0:
        return
    import pwd

    try:
        entry = pwd.getpwuid(found.st_uid)
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
    except KeyError:
        os.setgroups([])
        os.setgid(found.st_gid)
    os.setuid(found.st_uid)
