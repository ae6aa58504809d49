# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of this repository that no tool of the ecosystem checks: licences, layout, roles' documents, pins, links."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"
PLUGIN_HEADER = (
    "# Copyright (c) The netbench.orchestrator authors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    f"# {SPDX}",
)
# Written by a program, or data in a format that has no comments. Other data has a neighbour NAME.license.
WITHOUT_HEADER = {"LICENSE", "CHANGELOG.rst", "changelogs/changelog.yaml", "changelogs/.plugin-cache.yaml"}
WITHOUT_COMMENTS = {".json", ".jsonl", ".csv", ".png", ".svg", ".pem", ".gz"}
IN_HOSTS = ("tests/lab/", "tests/faults/", "tests/integration/lab/")


def listed() -> list[str]:
    """Names of the files that a commit of this tree would hold, relative to its root."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(git, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("needs the git repository", allow_module_level=True)
    return sorted(name for name in done.stdout.split("\0") if (ROOT / name).is_file())


FILES = listed()
PYTHON = [name for name in FILES if name.endswith(".py")]
ROLES = sorted({name.split("/")[1] for name in FILES if name.startswith("roles/") and name.count("/") > 1})


def text(name: str) -> str:
    """The content of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def under(*folders: str) -> list[str]:
    """Python files with content in the given folders."""
    return [name for name in PYTHON if name.startswith(folders) and text(name).strip()]


def imports(name: str, *, top_level: bool = False) -> Iterator[str]:
    """Names of the modules that a file imports absolutely; with `top_level`, only those that its own import costs."""
    tree = ast.parse(text(name))
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def test_files_name_their_licence() -> None:
    silent = [
        name
        for name in FILES
        if Path(name).suffix not in WITHOUT_COMMENTS and name not in WITHOUT_HEADER and f"{name}.license" not in FILES
        if text(name) and SPDX not in "\n".join(text(name).splitlines()[:10])
    ]
    assert not silent, f"no '{SPDX}' in the first lines"


def test_plugin_files_have_the_whole_header() -> None:
    def first_lines(name: str) -> tuple[str, ...]:
        return tuple([line for line in text(name).splitlines() if not line.startswith("#!")][:3])

    assert not [name for name in under("plugins/") if first_lines(name) != PLUGIN_HEADER]


def test_python_files_postpone_annotations() -> None:
    ours = under("plugins/", "tests/", "benchmarks/", "requirements/")
    assert not [name for name in ours if "from __future__ import annotations" not in text(name).splitlines()]


def test_files_name_no_place_of_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.}/-])/(?:root|home|Users|work)/[\w.-]+")
    # Tests with a lab name places inside the hosts that they make.
    found = {name: place.findall(text(name)) for name in FILES if not name.startswith(IN_HOSTS)}
    assert not {name: places for name, places in found.items() if places}


def test_what_runs_on_hosts_needs_the_standard_library_only() -> None:
    """And, where it runs inside a module and nowhere else, what Ansible sends along with a module."""
    in_modules = under("plugins/module_utils/_tools/")
    foreign = {
        name: [
            module
            for module in imports(name)
            if module.split(".")[0] not in sys.stdlib_module_names
            if not (name in in_modules and module.startswith("ansible.module_utils."))
        ]
        for name in under("plugins/module_utils/")
    }
    assert not {name: modules for name, modules in foreign.items() if modules}, "imports inside are relative here"


def test_no_variable_is_called_underscore() -> None:
    """`ansible-test sanity` forbids it, and says so a minute later: `_unused` and the like are what it takes."""
    found = [
        f"{name}:{node.lineno}"
        for name in PYTHON
        for node in ast.walk(ast.parse(text(name)))
        if isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store)
    ]
    assert not found


def test_what_runs_on_hosts_is_python_3_9() -> None:
    for name in under("plugins/module_utils/", "plugins/modules/"):
        ast.parse(text(name), filename=name, feature_version=(3, 9))


def test_libraries_of_the_control_node_are_imported_where_they_are_used() -> None:
    """Without charts or certificates, all else works: so a file that needs their libraries is imported by functions."""
    optional = {"plotly", "scipy", "numpy", "cryptography"}
    ours = under("plugins/plugin_utils/", "plugins/action/")
    needy = {name for name in ours if optional & {module.split(".")[0] for module in imports(name, top_level=True)}}
    stems = {Path(name).stem for name in needy}
    for name in set(ours) - needy:
        for node in ast.parse(text(name)).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                named = {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
                assert not stems & named, f"{name} imports {sorted(stems & named)} when it is imported itself"


def test_pure_code_does_not_import_ansible() -> None:
    for name in under("plugins/plugin_utils/_planning/", "plugins/plugin_utils/_results/"):
        assert "ansible" not in {module.split(".")[0] for module in imports(name)}, name


def test_private_utilities_say_so() -> None:
    def first_paragraph(name: str) -> str:
        return (ast.get_docstring(ast.parse(text(name))) or "").split("\n\n")[0].lower()

    utilities = under("plugins/module_utils/_", "plugins/plugin_utils/_")
    assert not [name for name in utilities if "private" not in first_paragraph(name)]


def test_every_action_has_a_documented_module_of_its_name() -> None:
    for name in under("plugins/action/"):
        stub = f"plugins/modules/{Path(name).name}"
        assert stub in FILES
        for block in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            assert re.search(rf"^{block} = ", text(stub), re.MULTILINE), f"{stub} has no {block}"


@pytest.mark.parametrize("role", ROLES)
def test_role_is_documented(role: str) -> None:
    assert f"roles/{role}/README.md" in FILES
    specs = yaml.safe_load(text(f"roles/{role}/meta/argument_specs.yml"))["argument_specs"]
    defaults_file = f"roles/{role}/defaults/main.yml"
    defaults = yaml.safe_load(text(defaults_file)) or {} if defaults_file in FILES else {}
    options = {key: value for spec in specs.values() for key, value in spec.get("options", {}).items()}
    optional = {key for key, value in options.items() if not value.get("required")}
    assert optional == set(defaults), f"documented or defaulted, not both: {sorted(optional ^ set(defaults))}"
    for key, value in defaults.items():
        assert key.startswith(f"{role}_"), f"{key} is not named after the role {role}"
        if not (isinstance(value, str) and "{{" in value):
            assert options[key].get("default") == value, f"{key}: default and documented default differ"


def requirement_names(name: str) -> dict[str, str]:
    """Distribution names (normalised) of a requirement file, with the rest of their lines."""
    found = {}
    for line in text(f"requirements/{name}").splitlines():
        match = re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?\s*(.*)", line.split("#")[0].strip())
        if match:
            found[match[1].lower().replace("_", "-")] = match[2]
    return found


def test_every_requirement_is_pinned() -> None:
    pins = requirement_names("constraints.txt")
    assert all(re.fullmatch(r"==[\w.]+", version) for version in pins.values())
    for name in sorted(Path(file).name for file in FILES if re.fullmatch(r"requirements/[\w-]+\.txt", file)):
        for package, version in requirement_names(name).items():
            assert version.startswith("==") or package in pins, f"requirements/{name}: {package} has no pin"


def test_execution_environment_has_the_libraries_of_the_control_node() -> None:
    listed_names = re.findall(r"^([\w-]+) ", text("meta/ee-requirements.txt"), re.MULTILINE)
    assert set(listed_names) == set(requirement_names("libraries.txt"))


def test_no_check_is_ignored() -> None:
    assert not [name for name in FILES if re.search(r"tests/sanity/ignore|\.ansible-lint-ignore", name)]


def test_no_module_has_the_name_of_a_folder_beside_it() -> None:
    """Ansible's loader takes the folder for a package first, and Python's the module: only a real play would notice."""
    twins = [path for path in (ROOT / "plugins").rglob("*.py") if path.with_suffix("").is_dir()]
    assert twins == []
