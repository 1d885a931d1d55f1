"""The network seam against servers that misbehave: what is delivered, in which order, and when a line is given up."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvloop
from websockets.asyncio.server import serve
from websockets.frames import CloseCode

from gateways import network
from gateways.network import Line, backoff_s


class Heard:
    """What a line reported, in order."""

    def __init__(self):
        self.events = []
        self.news = asyncio.Event()

    def add(self, *event):
        self.events.append(event)
        self.news.set()

    async def until(self, found):
        async with asyncio.timeout(5):
            while not found(self.events):
                self.news.clear()
                await self.news.wait()

    def line(self, port, **over):
        return Line(
            f"ws://127.0.0.1:{port}/x", opened=lambda: self.add("opened"), received=lambda d: self.add("frame", d),
            closed=lambda why: self.add("closed", why), **({"max_frame_bytes": 1000} | over),
        )  # fmt: skip


@contextlib.asynccontextmanager
async def running(handler, raw=False, **over):
    heard = Heard()
    if raw:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
    else:
        server = await serve(handler, "127.0.0.1", 0, compression="deflate", max_size=None)
    port = server.sockets[0].getsockname()[1]
    line = heard.line(port, **over)
    task = asyncio.create_task(line.run())
    try:
        yield heard, line
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(network, "BACKOFF_FIRST_S", 0.005)
    monkeypatch.setattr(network, "BACKOFF_MAX_S", 0.02)


def run(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(coroutine, 10))


def test_opened_comes_before_frames_that_were_sent_at_once_and_no_compression_is_agreed():
    async def main():
        agreed = []

        async def handler(socket):
            agreed.extend(socket.protocol.extensions)
            for i in range(100):
                await socket.send(f"{i}")
            await socket.wait_closed()

        async with running(handler) as (heard, line):
            await heard.until(lambda e: len(e) == 101)
            assert heard.events == [("opened",)] + [("frame", b"%d" % i) for i in range(100)]
            assert line.is_open
            assert agreed == []

    run(main())


def test_fragments_are_joined_binary_is_delivered_and_replies_arrive():
    async def main():
        got = []

        async def handler(socket):
            await socket.send(["ab", "cd", "ef"])
            await socket.send(b"\x00\xff")
            got.append(await socket.recv())
            await socket.close()

        async with running(handler) as (heard, line):
            await heard.until(lambda e: len(e) >= 3)
            assert heard.events[1:3] == [("frame", b"abcdef"), ("frame", b"\x00\xff")]
            assert line.send(b"hello")
            await heard.until(lambda e: ("opened",) in e[1:])  # closed cleanly: opened again
            assert got == ["hello"]
            assert ("closed", "code 1000") in heard.events

    run(main())


@pytest.mark.parametrize("pieces", [["x" * 1001], ["x" * 600, "y" * 600]])
def test_an_oversized_frame_ends_the_connection_and_only_that(pieces):
    async def main():
        calls = []

        async def handler(socket):
            calls.append(1)
            if len(calls) == 1:
                await socket.send(pieces)
            else:
                await socket.send("fine")
            await socket.wait_closed()

        async with running(handler) as (heard, _):
            await heard.until(lambda e: ("frame", b"fine") in e)
            assert [e[0] for e in heard.events] == ["opened", "closed", "opened", "frame"]
            assert "PayloadTooBig" in heard.events[1][1]

    run(main())


@pytest.mark.parametrize("reply", [b"garbage\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", b""])
def test_a_refused_handshake_is_tried_again(reply):
    async def main():
        calls = []

        async def handler(reader, writer):
            calls.append(1)
            writer.write(reply)
            await writer.drain()
            writer.close()

        async with running(handler, raw=True) as (heard, line):
            while len(calls) < 3:
                await asyncio.sleep(0.01)
            assert heard.events == []
            assert not line.send(b"x")

    run(main())


@pytest.mark.parametrize("drip", [False, True])
def test_half_open_and_dripping_connections_are_given_up(drip, monkeypatch):
    monkeypatch.setattr(network, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(network, "PONG_WITHIN_S", 0.1)

    async def main():
        async def handler(reader, writer):
            import websockets.server

            protocol = websockets.server.ServerProtocol()
            protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
            protocol.send_response(protocol.accept(protocol.events_received()[0]))
            writer.write(b"".join(protocol.data_to_send()))
            writer.write(b"\x81\x7e\x03\x00")  # a text frame of 768 bytes, of which no whole one ever comes
            with contextlib.suppress(OSError):
                while drip:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)
                await asyncio.sleep(10)

        async with running(handler, raw=True) as (heard, _):
            await heard.until(lambda e: len([x for x in e if x[0] == "closed"]) >= 1)
            assert "nothing heard" in heard.events[1][1]

    run(main())


def test_a_paused_line_delivers_nothing_until_it_goes_on():
    async def main():
        async def handler(socket):
            async for m in socket:
                await socket.send(m)

        async with running(handler) as (heard, line):
            await heard.until(lambda e: e == [("opened",)])
            line.pause(True)
            line.send(b"later")
            await asyncio.sleep(0.1)
            assert heard.events == [("opened",)]
            line.pause(False)
            await heard.until(lambda e: e[-1] == ("frame", b"later"))

    run(main())


def test_stopping_says_goodbye():
    async def main():
        codes = []

        async def handler(socket):
            await socket.wait_closed()
            codes.append(socket.close_code)

        async with running(handler) as (heard, _):
            await heard.until(lambda e: e == [("opened",)])
        await asyncio.sleep(0.05)
        assert codes == [CloseCode.NORMAL_CLOSURE]

    run(main())


def test_back_off_doubles_spreads_and_is_bounded(monkeypatch):
    monkeypatch.setattr(network, "BACKOFF_FIRST_S", 0.1)
    monkeypatch.setattr(network, "BACKOFF_MAX_S", 5.0)
    for failures, full in ((0, 0.1), (1, 0.2), (3, 0.8), (10, 5.0), (10_000, 5.0)):
        waits = [backoff_s(failures) for _ in range(50)]
        assert all(full / 2 <= w <= full for w in waits)
        assert len(set(waits)) > 10
