# SPDX-License-Identifier: GPL-3.0-or-later

"""What must never be, in the words that a search says when it is so. Each has a mutation that shows it can be found."""

from __future__ import annotations

# Nothing runs before the group that comes before it is observed running.
TOO_EARLY = "a client is released before every server is observed running"

# Nobody waits without a deadline, or for something that cannot come.
WAITS_FOREVER = "the coordinator waits without a deadline"
WORKER_WAITS_FOREVER = "a worker waits without a deadline"
IN_VAIN = "everything was said, nothing is under way, and the coordinator still waits"
LEFT_ALONE = "nothing is under way, nobody ever will end this, and a worker still works on the sample"

# Each sample ends in exactly one verdict, and when it has ended nobody works on it.
TWO_VERDICTS = "a sample has two verdicts"
NO_VERDICT = "a walk has ended without a verdict, or goes on after it"
OTHER_VERDICT = "a verdict becomes another"
STILL_AT_WORK = "a worker works on the sample, and the coordinator takes it to be done with it"

# Nothing is released after an abort.
SENT_AFTER_VERDICT = "something is sent after the verdict"
RELEASED_THOUGH_LOST = "a client is released, and the coordinator knows of a host that failed or was aborted"
STARTED_AFTER_ABORT = "a worker starts processes after an abort"

# A done never stands for a failed process.
DONE_OF_A_FAILURE = "done stands for processes that did not end as they should"
SAID_DONE = "a worker says done, and its processes did not end as they should"
OK_TOO_EARLY = "the verdict is ok, and not every host is known to be done"

# A worker, restarted or not, never starts a sample twice.
PREPARED_TWICE = "a worker prepares a sample twice"
STARTED_TWICE = "a worker starts the processes of a sample twice"

ALL = tuple(value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str))
