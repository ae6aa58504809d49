# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that `make test` does, as data, in the order in which a person wants to hear of trouble.

Cheap steps come first, and what runs together stands together, the longest in front. tests/run.py carries them out;
what a step may say about itself is in the fields of `Step`.
"""

from __future__ import annotations

from dataclasses import dataclass

COLLECTION = "ansible_collections.netbench.orchestrator"

# Packages about which mypy is strict. The rest, actions and modules, is thin and talks to Ansible, which has no types.
TYPED = (
    "plugins.module_utils._protocol",
    "plugins.module_utils._netbench",
    "plugins.module_utils._worker",
    "plugins.module_utils._tools",
    "plugins.plugin_utils._archive",
    "plugins.plugin_utils._planning",
    "plugins.plugin_utils._coordinator",
    "plugins.plugin_utils._results",
)


@dataclass(frozen=True)
class Step:
    """One command of the test run.

    command: arguments; `{python}` is the interpreter of the step's environment, `{bin}` its folder of programs,
    `{junit}` a file to which pytest writes its counts (its tests are counted one by one, other steps count as one).
    needs: names of `NEEDS` in tests/run.py; what is not there makes the step SKIPPED, with the reason.
    environment: the one of requirements/install.py that it runs in. A command that exits 77 skips itself: its last line
    of output is the reason. limit_s: after this time the step's processes are killed and the step has failed.
    groups: further names under which ONLY= finds it.
    together: nothing in it depends on time, so neighbours of this kind share the machine; the others have it alone.
    """

    name: str
    command: tuple[str, ...]
    limit_s: int
    groups: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    environment: str = "test"
    variables: tuple[tuple[str, str], ...] = ()
    together: bool = False


def pytest(*arguments: str) -> tuple[str, ...]:
    """The command of a step whose tests are counted one by one."""
    return ("{python}", "-m", "pytest", "--junitxml={junit}", *arguments)


def skipped(*tests: str) -> tuple[str, ...]:
    """Arguments by which ansible-test leaves tests out."""
    return tuple(part for test in tests for part in ("--skip-test", test))


def play(*arguments: str) -> tuple[str, ...]:
    """The command of a step that runs a playbook."""
    return ("{bin}/ansible-playbook", *arguments)


STEPS = (
    Step("ruff", ("{bin}/ruff", "check", "."), 60, ("checks",), together=True),
    Step("format", ("{bin}/ruff", "format", "--check", "."), 60, ("checks",), together=True),
    Step("yamllint", ("{bin}/yamllint", "--strict", "."), 60, ("checks",), together=True),
    Step("changelog", ("{bin}/antsibull-changelog", "lint"), 60, ("checks",), together=True),
    # Without what the steps above do by themselves.
    Step(
        "sanity",
        ("{python}", "tests/checks/sanity.py", *skipped("changelog", "pep8", "yamllint")),
        600,
        ("checks",),
        together=True,
    ),
    Step("unit", pytest("tests/unit"), 600, together=True),
    Step(
        "unit-oldest-python",
        pytest("tests/unit/plugins/module_utils"),
        420,
        ("unit",),
        environment="oldest",
        together=True,
    ),
    # What runs on hosts has been tested with the oldest Python; this is about what Ansible runs. The search of the
    # barrier is the same with every Python.
    Step(
        "unit-newest-core",
        pytest("tests/unit/plugins/plugin_utils", "-k", "not every_order_of_events and not random_schedules"),
        420,
        ("unit", "newest"),
        environment="newest",
        together=True,
    ),
    Step(
        "mypy",
        ("{bin}/mypy", *(part for name in TYPED for part in ("-p", f"{COLLECTION}.{name}"))),
        300,
        ("checks",),
        variables=(("MYPYPATH", ".collections"),),
        together=True,
    ),
    Step(
        "plugin-docs",
        ("{bin}/antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "."),
        120,
        ("checks",),
        together=True,
    ),
    Step(
        "ansible-lint",
        ("{bin}/ansible-lint", "--offline", "--strict", "--profile", "production"),
        300,
        ("checks",),
        together=True,
    ),
    Step("drivers", play("tests/drivers/build.yml"), 1200, needs=("cargo", "compiler"), together=True),
    Step("artefact", pytest("tests/artefact"), 600, together=True),
    Step("plan", pytest("tests/integration/plan"), 600, ("integration",), together=True),
    Step("report", pytest("tests/integration/report"), 600, ("integration",), needs=("chromium",), together=True),
    Step("aws", pytest("tests/integration/aws"), 900, ("integration",), environment="amazon", together=True),
    Step(
        "incast-newest-core",
        play("incast.yml", "-i", "inventories/local", "-e", "run_results=.cache/test-results"),
        240,
        ("newest",),
        environment="newest",
    ),
    Step("pynetbench", pytest("tests/integration/pynetbench"), 300, ("integration",)),
    Step("local", pytest("tests/integration/local"), 600, ("integration",)),
    Step("pages", pytest("tests/docs"), 600, ("integration", "incast")),  # README.md's commands among them
    Step(
        "lab-runs",
        pytest("tests/integration/lab", "--ignore=tests/integration/lab/test_netperf.py"),
        600,
        ("integration",),
        needs=("root", "containers"),
    ),
    # What waits more than it works: the deadlines of the first are far beyond what the others take away.
    Step(
        "faults", pytest("tests/faults", "--ignore=tests/faults/test_on_lab.py"), 900, needs=("linux",), together=True
    ),
    # It compares bytes, of links that are slower than any machine.
    Step(
        "netperf-on-lab",
        pytest("tests/integration/lab/test_netperf.py"),
        900,
        ("integration",),
        needs=("root", "containers"),
        together=True,
    ),
    Step("molecule", ("{bin}/molecule", "test", "--all", "--report"), 900, needs=("root", "containers"), together=True),
    Step(
        "faults-on-lab", pytest("tests/faults/test_on_lab.py"), 600, ("faults",), ("root", "containers"), together=True
    ),
    Step("lab", pytest("tests/lab"), 600, needs=("root", "containers"), together=True),
)
