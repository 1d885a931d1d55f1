"""The simulated exchange as a real process, and a blunt client for it."""

import json
import queue
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gateways.sim.exchange.process import main

ROOT = Path(__file__).parents[3]


class Exchange:
    """`python -m gateways.sim.exchange`; its standard output is read line by line in the background."""

    def __init__(self, **settings):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateways.sim.exchange", json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = None
        self.clients = ExitStack()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def said(self, event, timeout=20):
        """The next line about `event`; others are skipped."""
        while True:
            line = self._lines.get(timeout=timeout)
            assert line is not None, f"the exchange ended before {event}: {self.process.stderr.read()}"
            if line["event"] == event:
                return line

    def listening(self):
        self.port = self.said("listening")["port"]
        return self

    def api(self, key=None):
        client = Api(self.clients.enter_context(self._connect("/ws-api")))
        if key:
            client.logon(key)
        return client

    def market(self, query="", **options):
        return self.clients.enter_context(self._connect(f"/stream{query}", **options))

    def _connect(self, path, **options):
        options = {"max_size": None, "compression": None, "max_queue": None, "close_timeout": 1} | options
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    def stop(self):
        """SIGTERM; (exit code, the stopped line, standard error)."""
        self.process.terminate()
        line = self.said("stopped")
        error = self.process.stderr.read()
        return self.process.wait(10), line, error

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.clients.close()
        self.process.wait()
        self.process.stderr.close()


class Api:
    """One connection to /ws-api: answers by id, pushes in a list."""

    def __init__(self, ws):
        self.ws = ws
        self.pushes = []
        self._id = 0

    def send(self, method, **params):
        self._id += 1
        self.ws.send(json.dumps({"id": self._id, "method": method, "params": params}))
        return self._id

    def answer(self, request_id, timeout=10):
        while True:
            message = json.loads(self.ws.recv(timeout=timeout))
            if "e" in message:
                self.pushes.append(message)
            else:
                assert message["id"] == request_id
                return message

    def ask(self, method, **params):
        """The result, or the error code."""
        message = self.answer(self.send(method, **params))
        return message["result"] if message["status"] == 200 else message["error"]["code"]

    def logon(self, key):
        assert isinstance(self.ask("session.logon", apiKey=key), dict)

    def order(self, client_id, side, quantity, price=None, tif="GTC", **more):
        params = {"type": "MARKET"} if price is None else {"type": "LIMIT", "timeInForce": tif, "price": price}
        return self.ask(
            "order.place", symbol="BTCUSDT", side=side, quantity=quantity, newClientOrderId=client_id, **params, **more
        )

    def settled(self):
        """All pushes so far: a question asked behind them has been answered."""
        self.ask("time")
        pushes, self.pushes = self.pushes, []
        return [p["o"] for p in pushes]

    def until(self, wanted, timeout=10):
        """Read pushes until one satisfies `wanted`."""
        while True:
            for push in self.pushes:
                if wanted(push["o"]):
                    return push["o"]
            message = json.loads(self.ws.recv(timeout=timeout))
            assert "e" in message, message
            self.pushes.append(message)

    def depth(self, limit=1000):
        return self.ask("depth", symbol="BTCUSDT", limit=limit)

    def closed(self, timeout=10):
        """Wait for the end of the connection; its close code."""
        try:
            while True:
                self.ws.recv(timeout=timeout)
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006


@pytest.fixture
def start_exchange():
    """start_exchange(**settings) -> Exchange, listening; ended with the test."""
    started = []

    def start(**settings):
        exchange = Exchange(**settings)
        started.append(exchange)
        return exchange.listening()

    yield start
    for exchange in started:
        exchange.close()


@pytest.fixture(scope="module")
def quiet_exchange():
    """One generated exchange for a module, its agents nearly asleep; every test takes its own key, "key1" ... "key60"."""
    exchange = Exchange(rate=1, admin=True, seed=5, more_api_keys=[f"key{n}" for n in range(1, 61)]).listening()
    exchange.keys_used = 0
    yield exchange
    exchange.close()


@pytest.fixture
def api(quiet_exchange):
    """A logged-on connection with an account of its own. Client ids in these tests may therefore repeat."""
    quiet_exchange.keys_used += 1
    client = quiet_exchange.api(f"key{quiet_exchange.keys_used}")
    client.key = f"key{quiet_exchange.keys_used}"
    return client


@pytest.fixture
def run_to_end(capsys):
    """run_to_end(**settings) -> (exit code, standard error) of an exchange that must refuse to start; in this process."""

    def run(**settings):
        code = main([json.dumps(settings)])
        return code, capsys.readouterr().err

    return run
