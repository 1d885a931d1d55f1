"""Between gateway and exchange: every request that changes something at the venue, in the moment in which it leaves."""

import asyncio
import json
import threading

import websockets

CHANGING = ("order.place", "order.modify", "order.cancel")
FRAME_BYTES_MAX = 16 << 20


class Tap(threading.Thread):
    """Passes both websockets of a gateway on to an exchange. For each request: `seen(method, client id)`, then it is sent."""

    def __init__(self, port, seen):
        super().__init__(daemon=True)
        self._exchange = port
        self._seen = seen
        self._listening = threading.Event()
        self.port = 0

    def __enter__(self):
        self.start()
        assert self._listening.wait(20)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join(20)

    def run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with websockets.serve(self._connection, "127.0.0.1", 0, compression=None, max_size=FRAME_BYTES_MAX) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._listening.set()
            await self._ended.wait()

    async def _connection(self, near):
        url = f"ws://127.0.0.1:{self._exchange}{near.request.path}"
        async with websockets.connect(url, compression=None, max_size=FRAME_BYTES_MAX) as far:
            ways = [asyncio.create_task(self._pass_on(near, far, True)), asyncio.create_task(self._pass_on(far, near, False))]
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:  # one side has hung up
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, source, target, watched):
        async for data in source:
            if watched:
                request = json.loads(data)
                if request["method"] in CHANGING:
                    self._seen(request["method"], request["params"]["newClientOrderId"])
            await target.send(data)
