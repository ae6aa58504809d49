# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong in the worker. Private to this collection.

::

    WorkerError
    ├── StorageError     a directory, a plan or a run's folder is not as it must be
    ├── NotThere         no worker answers at the socket
    ├── Refused          the worker answers, and says no
    └── SampleError      a sample cannot go on; its text is the sample's reason
"""

from __future__ import annotations


class WorkerError(Exception):
    """Base of all that the worker raises on purpose. The text is for a person."""


class StorageError(WorkerError):
    """A directory, a plan or a run's folder is not as it must be."""


class NotThere(WorkerError):
    """No worker answers at the socket."""


class Refused(WorkerError):
    """The worker answers, and says no."""


class SampleError(WorkerError):
    """A sample cannot go on; the text becomes its reason."""
