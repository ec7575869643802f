"""A port that was taken stays with the process that it was taken for."""

import asyncio
import socket

import pytest

from local.ports import Ports


def test_when_a_port_is_taken_then_nobody_is_given_it_as_a_free_one() -> None:
    with Ports() as ports:
        port = ports.take()
        given = [socket.socket() for _ in range(500)]
        for each in given:
            each.bind(("127.0.0.1", 0))
        assert port not in {each.getsockname()[1] for each in given}
        for each in given:
            each.close()
        with socket.socket() as another, pytest.raises(OSError, match="in use"):
            another.bind(("127.0.0.1", port))


async def test_when_a_port_is_taken_then_its_server_may_start_and_start_again() -> None:
    with Ports() as ports:
        port = ports.take()
        for _ in range(2):
            server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()
            server.close()
            await server.wait_closed()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)


def test_when_ports_are_closed_then_anybody_may_have_them() -> None:
    with Ports() as ports:
        port = ports.take()
    with socket.socket() as another:
        another.bind(("127.0.0.1", port))
