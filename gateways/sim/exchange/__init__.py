"""gateways.sim.exchange: the simulated exchange, a process of its own (docs/simulated-exchange.md is its contract).

    settings.py   what it is started with          requests.py  one request in, one answer and its pushes out
    numbers.py    decimal text and mantissas       accounts.py  orders, client ids and trades, kept across disconnects
    listing.py    the one instrument               outlet.py    one client's bounded queue
    market.py     seeded agents                    server.py    the two endpoints
    feed.py       market events as frames          hub.py       the market stream's subscribers
    faults.py     deliberate misbehaviour          limits.py    what an account may have open
    capture.py    recorded files, read as lines    process.py   run_exchange: sockets, market, signals
    playback.py   a capture served and matched

May import: apps.venue, journal.messages, websockets. Never: the gateway beside it (they meet on the wire only), a sequencer.
It stands for the outside world: it has its own clock and its seeded randomness.
"""
