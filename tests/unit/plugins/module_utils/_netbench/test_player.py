# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each operation does, seen at both ends of loopback connections."""

from __future__ import annotations

import json
import socket
import struct
import threading

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.client import Client, server_addresses
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.errors import DriverError, UsageError
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.loop import Loop
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.stream import Counters
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.tracing import Tracer

from .loopback import play
from .test_scenario import minimal, receive, repeat, send

MB = 1_000_000


def pair_of(connection_count=1, **ops):
    """`minimal` with the client's operations and the server's."""
    document = minimal(ops["client"], ops["server"])
    document["clients"][0]["scenario"] *= connection_count
    return document


def test_all_bytes_arrive_and_are_counted_at_both_ends():
    document = pair_of(
        3,
        client=[{"profile": {"trace_id": 0, "operations": [send(1000)]}}, receive(30 * MB)],
        server=[receive(1000), {"profile": {"trace_id": 1, "operations": [send(30 * MB)]}}],
    )
    played = play(document)
    (client,), (server,) = played.clients, played.servers
    assert (client.rx_bytes, client.tx_bytes) == (server.tx_bytes, server.rx_bytes) == (90 * MB, 3000)
    assert client.first_byte_ns is not None
    assert {name: histogram.record()["count"] for name, histogram in played.histograms.items()} == {"a": 3, "b": 3}
    assert played.failed_connections == 0


def test_both_directions_at_once():
    both = {"scope": {"threads": [[send(20 * MB)], [receive(20 * MB)]]}}
    played = play(pair_of(client=[both], server=[both]))
    assert played.clients[0].rx_bytes == played.clients[0].tx_bytes == 20 * MB


def test_a_receiver_of_everything_ends_when_the_sender_finishes():
    played = play(pair_of(client=[send(5 * MB)], server=[{"receive_all": {"stream_id": 0}}]))
    assert played.servers[0].rx_bytes == 5 * MB


@pytest.mark.parametrize("limited", ["send", "receive"])
def test_a_rate_stretches_the_transfer(limited):
    rate = {f"{limited}_rate": {"stream_id": 0, "bytes": 100_000, "period_ms": 40}}
    client, server = [send(500_000)], [receive(500_000)]
    (client if limited == "send" else server).insert(0, rate)
    played = play(pair_of(client=client, server=server))
    assert played.servers[0].rx_bytes == 500_000
    assert 4 * 0.040 <= played.elapsed_s < 10


def test_sleep_and_checkpoints_order_the_threads():
    threads = [
        [{"park": {"checkpoint": 1}}, {"trace": {"trace_id": 1}}],
        [{"sleep": {"amount_ms": 30}}, {"trace": {"trace_id": 0}}, {"unpark": {"checkpoint": 1}}],
    ]
    played = play(pair_of(client=[{"scope": {"threads": threads}}, send(1)], server=[receive(1)]), kinds=("stdio",))
    words = [line.split()[2] for line in played.stdout.splitlines()]
    assert [word for word in words if word.startswith(("park", "uprk", "trce"))] == [
        "park[1]",
        "trce[0]",
        "uprk[1]",
        "trce[1]",
    ]
    assert played.elapsed_s >= 0.030


def test_an_unpark_is_kept_until_somebody_parks():
    played = play(
        pair_of(client=[{"unpark": {"checkpoint": 1}}, {"park": {"checkpoint": 1}}, send(1)], server=[receive(1)])
    )
    assert played.servers[0].rx_bytes == 1


def test_threads_that_park_for_ever_end_the_client():
    document = pair_of(client=[send(1)], server=[receive(1)])
    document["clients"][0]["scenario"] = [
        {
            "scope": {
                "threads": [[{"park": {"checkpoint": 1}}, {"unpark": {"checkpoint": 2}}], [{"park": {"checkpoint": 2}}]]
            }
        },
        {"unpark": {"checkpoint": 1}},
    ]
    read = scenario.parse(json.dumps(document))
    with Loop() as loop:
        client = client_of(loop, read, [])
        with pytest.raises(DriverError, match="every thread of the scenario waits for another one"):
            loop.run(client.run())


def test_repetition_by_count_measures_each_turn():
    client = repeat([send(10), receive(10)], count=25)
    client["iterate"]["trace_id"] = 0
    played = play(pair_of(client=[client], server=[repeat([receive(10), send(10)], count=25)]))
    assert played.histograms["a"].record()["count"] == 25
    assert played.clients[0].rx_bytes == 250


def test_repetition_by_time_ends_in_the_middle_of_a_transfer():
    endless = 2**60
    played = play(pair_of(client=[repeat([receive(endless)], time=150)], server=[repeat([send(endless)], time=10_000)]))
    assert 0.150 <= played.elapsed_s < 10
    assert played.clients[0].rx_bytes > MB
    assert played.failed_connections == 0


def test_repetition_by_time_inside_of_another_ends_with_the_outer_one():
    inner = repeat([repeat([{"sleep": {"amount_ms": 1}}], time=60_000)], time=60)
    played = play(pair_of(client=[inner, send(1)], server=[receive(1)]))
    assert 0.060 <= played.elapsed_s < 10
    assert played.servers[0].rx_bytes == 1


def test_a_server_that_ends_early_fails_the_client():
    with pytest.raises(DriverError, match=r"server 0 \(127.0.0.1:\d+\) closed the connection after 600 of 1000 bytes"):
        play(pair_of(client=[send(1), receive(1000)], server=[receive(1), send(600)]))
    with pytest.raises(DriverError, match="the connection after"):
        play(pair_of(client=[repeat([send(1), receive(1)], time=10_000)], server=[receive(1), send(1)]))


def test_a_client_that_ends_early_fails_its_connection_only(capsys):
    played = play(pair_of(2, client=[send(10)], server=[receive(20)]))
    assert played.failed_connections == 2
    assert capsys.readouterr().err.count("closed the connection after 10 of 20 bytes") == 2


def client_of(loop, read, addresses, connect_timeout_s=0.2):
    tracer = Tracer((), read.traces, False, None, None)
    return Client(
        loop, read.clients[0], addresses, Counters(), tracer, local_ip=None, connect_timeout_s=connect_timeout_s
    )


def sample():
    return scenario.parse(json.dumps(pair_of(client=[send(1), receive(1)], server=[receive(1), send(1)])))


def test_a_server_that_does_not_listen_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        addresses = server_addresses(1, {"SERVER_0": f"127.0.0.1:{port}"})
        with (
            Loop() as loop,
            pytest.raises(DriverError, match=rf"cannot connect to server 0 \(127.0.0.1:{port}\) within 0.\d s"),
        ):
            loop.run(client_of(loop, sample(), addresses).run())


def test_a_server_that_listens_late_is_reached():
    read = sample()
    with socket.socket() as late, Loop() as loop:
        late.bind(("127.0.0.1", 0))
        addresses = server_addresses(1, {"SERVER_0": f"127.0.0.1:{late.getsockname()[1]}"})

        def answer():
            late.listen()
            connection, _unused = late.accept()
            with connection:
                assert struct.unpack(">Q", connection.recv(8, socket.MSG_WAITALL)) == (0,)
                connection.sendall(connection.recv(1))
                connection.recv(1)

        timer = threading.Timer(0.12, answer)
        timer.start()
        loop.run(client_of(loop, read, addresses, connect_timeout_s=5).run())
        timer.join()


def test_a_reset_in_the_middle_fails_the_client():
    read = sample()
    with socket.socket() as listening, Loop() as loop:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def reset():
            connection, _unused = listening.accept()
            connection.recv(9, socket.MSG_WAITALL)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        addresses = server_addresses(1, {"SERVER_0": f"127.0.0.1:{listening.getsockname()[1]}"})
        with pytest.raises(DriverError, match="ended the connection after 0 of 1 bytes: Connection reset by peer"):
            loop.run(client_of(loop, read, addresses).run())
        thread.join()


@pytest.mark.parametrize(
    "environ", [{}, {"SERVER_0": "nowhere"}, {"SERVER_0": "h:0"}, {"SERVER_0": "h:99999"}, {"SERVER_0": ":1"}]
)
def test_addresses_that_are_none_are_refused(environ):
    with pytest.raises(UsageError, match="SERVER_0"):
        server_addresses(1, environ)


def test_addresses_of_both_families():
    families = [family for family, _unused in server_addresses(2, {"SERVER_0": "127.0.0.1:1", "SERVER_1": "[::1]:2"})]
    assert families == [socket.AF_INET, socket.AF_INET6]
