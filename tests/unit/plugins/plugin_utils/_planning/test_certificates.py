# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of scenarios: one chain that TLS libraries accept, and a clear word where the library is missing."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import sys
import threading

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import certificates
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.scenarios import generate

ID = "Y2xhc3MtbmV0YmVuY2g"


def test_a_client_that_knows_the_authority_accepts_the_server(tmp_path):
    authority, key, certificate = certificates.issue(ID)
    (tmp_path / "key.pem").write_text(key["pem"])
    (tmp_path / "certificate.pem").write_text(certificate["pem"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    client = ssl.create_default_context(cadata=authority["pem"])
    ours, theirs = socket.socketpair()

    def serve():
        with server.wrap_socket(theirs, server_side=True) as wrapped:
            wrapped.sendall(b"x")

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ours, server_hostname=f"7.{ID}.net") as wrapped:
        assert wrapped.recv(1) == b"x"
    thread.join()


def test_the_container_holds_the_same_key_without_a_password():
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

    _unused, key, _unused = certificates.issue(ID)
    held, certificate, _unused = pkcs12.load_key_and_certificates(base64.b64decode(key["pkcs12"]), None)
    assert held.private_numbers() == load_pem_private_key(key["pem"].encode(), None).private_numbers()
    assert certificate.public_key() == held.public_key()


def test_a_scenario_with_certificates_passes_for_tls_drivers():
    document = certificates.with_certificates(generate("incast", servers=2, clients=1, parameters={}))
    scenario.check(scenario.parse(json.dumps(document)), driver="s2n-quic", servers=2, clients=1)


def test_a_missing_library_is_named_with_the_feature(monkeypatch):
    name = f"{certificates.__package__}.certificate_authority"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)  # an import of it fails
    monkeypatch.delattr(sys.modules[certificates.__package__], "certificate_authority", raising=False)
    with pytest.raises(certificates.CertificateError, match="drivers need the Python library cryptography"):
        certificates.issue(ID)
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules[certificates.__package__], "certificate_authority")
