# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with results. Private to this collection.

ResultsError            something is wrong with a run's results; the message says what, where, and what to do
├── FolderError         the result folder cannot be found, read or written
└── MissingLibrary      a controller library is not installed; names the library and the feature that needs it
"""

from __future__ import annotations


class ResultsError(Exception):
    """A run's results cannot be read or written; the message is for the user."""


class FolderError(ResultsError):
    """The result folder cannot be found, read or written."""


class MissingLibrary(ResultsError):
    """A library of the control node is missing."""

    def __init__(self, *, library: str, feature: str) -> None:
        self.library = library
        self.feature = feature
        super().__init__(
            f"The Python library {library!r} is not installed on the control node; it is needed for {feature}. "
            f"Install it with: python -m pip install {library}"
        )
