# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples hypothesis tries: a few in every run, many with `pytest --hypothesis-profile=thorough`."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a busy machine is no failure. What a test may take altogether is the step's limit.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("quick")
