# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts from other systems: what they say, and where they are wrong."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import host_files
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.documents import FileProblem
from hypothesis import given, settings
from hypothesis import strategies as st

HOSTS = """\
hosts:
  - name: a1
    address: 198.18.1.11
    role: server
    ssh_user: bench
    ssh_port: 2222
    ssh_key: ~/.ssh/bench
  - {name: b1, address: 198.18.1.12, role: client}
  - {name: c1, address: "fd00::1", role: both}
"""


def problem_of(reader, content, *more):
    with pytest.raises(FileProblem) as caught:
        reader(content, "f", *more)
    return str(caught.value)


def test_hosts_yaml_with_every_key():
    a1, b1, c1 = host_files.hosts_yaml(HOSTS, "hosts.yaml")
    assert (a1.name, a1.address, a1.user, a1.port, a1.key) == ("a1", "198.18.1.11", "bench", 2222, "~/.ssh/bench")
    assert (b1.user, b1.port, b1.key, b1.line) == (None, None, None, 8)
    assert host_files.grouped([a1, b1, c1]) == {"servers": ["a1", "c1"], "clients": ["b1", "c1"], "both": ["c1"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("role: server", "role: servr"), "f:4: hosts[0].role: 'servr' is not known here. Did you mean 'server'?"),
        (
            ("ssh_port: 2222", "ssh_prot: 22"),
            "f:6: hosts[0].ssh_prot: unknown key 'ssh_prot'. Did you mean 'ssh_port'?",
        ),
        (("2222", "70000"), "f:6: hosts[0].ssh_port: expected at most 65535, got 70000."),
        (("name: b1", "name: a1"), "f:8: the name a1 is in line 2 already."),
        (("198.18.1.12", "198.18.1.11"), "f:8: the address 198.18.1.11 is in line 2 already."),
        (("address: 198.18.1.12, ", ""), "f:8: hosts[1].address: is missing."),
        (("role: server\n", "role: server\n    role: both\n"), "f:5: the key 'role' is there twice, first in line 4."),
        (("hosts:\n", "hosts: [\n"), "f:2: this is not YAML"),
        (("bench", "-oProxyCommand=x"), "f:5: hosts[0].ssh_user: expected a user, got '-oProxyCommand=x'."),
    ],
)
def test_mistakes_in_hosts_yaml_name_the_line(change, expected):
    assert change[0] in HOSTS
    assert problem_of(host_files.hosts_yaml, HOSTS.replace(change[0], change[1], 1)).startswith(expected)


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n"])
def test_empty_hosts_yaml(content):
    assert problem_of(host_files.hosts_yaml, content).startswith("f")


def test_no_hosts_in_hosts_yaml():
    assert problem_of(host_files.hosts_yaml, "hosts: []\n") == "f:1: hosts: expected 1 to 100000 items, got 0."


def test_addresses_with_comments():
    found = host_files.addresses("# rack 1\n198.18.1.1\n\n  db.example.org # the old one\n", "clients.txt", "clients")
    assert [(host.address, host.line, host.groups) for host in found] == [
        ("198.18.1.1", 2, ("clients",)),
        ("db.example.org", 4, ("clients",)),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "f: there is no address in this file; write one per line."),
        ("# none\n", "f: there is no address in this file; write one per line."),
        ("a\n\nb c\n", "f:3: expected one address, got 'b c'."),
        ("a\n$(reboot)\n", "f:2: expected one address, got '$(reboot)'."),
        ("a\nb\nA\n", "f:3: the address A is in line 1 already."),
        ("fd00::1\nfd00:0::1\n", "f:2: the address fd00:0::1 is in line 1 already."),
    ],
)
def test_mistakes_in_lists_of_addresses(content, expected):
    assert problem_of(host_files.addresses, content, "clients") == expected


CLUSTER = {
    "1": {"leaders": ["10.0.0.1"], "replicas": ["10.0.0.1", "10.0.0.2"], "client": ["10.0.0.9"]},
    "2": {"server": ["10.0.0.7"], "clients": ["10.0.0.8"]},
}


def test_cluster_json():
    found = host_files.cluster_json(json.dumps(CLUSTER, indent="\t"), "cluster.json", "1")
    assert host_files.grouped(found) == {
        "servers": ["10.0.0.1", "10.0.0.2"],
        "leaders": ["10.0.0.1"],
        "replicas": ["10.0.0.1", "10.0.0.2"],
        "clients": ["10.0.0.9"],
    }
    assert host_files.grouped(host_files.cluster_json(json.dumps(CLUSTER), "c", "2")) == {
        "servers": ["10.0.0.7"],
        "clients": ["10.0.0.8"],
    }


def test_mistakes_in_cluster_json():
    content = json.dumps(CLUSTER, indent=1)
    reader = host_files.cluster_json
    assert problem_of(reader, content) == "f:1: say for how many faults (f): 1, 2."
    assert problem_of(reader, content, "3").startswith("f:1: there is no cluster for f = 3. Known: 1, 2.")
    assert problem_of(reader, '{"1": {"a": ["x",\n "x"]}}') == "f:2: the address x is in line 1 already."
    assert problem_of(reader, '{"1": {\n"a": []}}') == "f:2: 1.a: expected 1 to 100000 items, got 0."
    assert problem_of(reader, '{"1": {\n"a": ["x"],}}').startswith("f:2: this is not JSON")
    assert problem_of(reader, "") == "f: the file is empty."
    assert problem_of(reader, "{}") == "f:1: say for how many faults (f): none."
    assert problem_of(reader, '{"1": {}}') == "f:1: 1: has no roles."


def test_one_host_that_would_ask_itself():
    both = host_files.merged(
        [*host_files.addresses("a\n", "clients.txt", "clients"), *host_files.addresses("a\n", "servers.txt", "servers")]
    )
    with pytest.raises(FileProblem, match=r"clients\.txt:1: a would be client and server of the same pair"):
        host_files.refuse_lonely(both)
    host_files.refuse_lonely([*both, *host_files.addresses("b\n", "servers.txt", "servers")])


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("hosts.yaml", HOSTS, "hosts"),
        ("hosts.yml", "servers: {hosts: {a: }}", None),
        ("any.yaml", "hosts: []", "hosts"),
        ("clients.txt", "", "clients"),
        ("Servers.TXT", "a", "servers"),
        ("notes.txt", "a", None),
        ("cluster.json", '{"1": {"a": ["x"]}}', "cluster"),
        ("inventory.json", '{"all": {"hosts": {}}}', None),
        ("broken.yaml", "hosts: [", None),
        ("hosts", "a", None),
        ("hosts.yaml", "# none yet\n", "hosts"),
        ("cluster.json", "", "cluster"),
        ("other.yaml", "", None),
    ],
)
def test_what_a_file_is(name, content, kind):
    assert host_files.kind_of(content, name) == kind


WORDS = st.text(st.characters(codec="ascii"), max_size=8)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.just("hosts"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(TREES, st.sampled_from([host_files.hosts_yaml, host_files.cluster_json]))
def test_any_document_is_read_or_refused_with_its_file(tree, reader):
    content = json.dumps(tree) if reader is host_files.cluster_json else yaml.safe_dump(tree)
    try:
        found = reader(content, "f")
    except FileProblem as problem:
        assert str(problem).startswith("f:")  # noqa: PT017
    else:
        assert found


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_its_file(content):
    for reader in (
        host_files.hosts_yaml,
        host_files.cluster_json,
        lambda text, file: host_files.addresses(text, file, "clients"),
    ):
        try:
            assert reader(content, "f")
        except FileProblem as problem:
            assert str(problem).startswith("f:")  # noqa: PT017


def test_an_alias_inside_of_itself_ends():
    assert "nested too deeply" in problem_of(host_files.hosts_yaml, "&a [*a]")
