"""gateways.sim: the gateway of the simulated exchange (docs/simulated-exchange.md).

    decimals.py       the venue's decimal text and our integer mantissas, exactly or with an error
    wire.py           the venue's JSON as typed, strictly decoded structs
    mapping.py        market data: venue structs to our messages
    order_mapping.py  orders: venue structs to our messages and ours to requests; the table of reasons
    session.py        what both sessions hand to the driver: messages, raw frames, complaints about the venue
    book_line.py      join and continuity of one instrument's depth stream
    market_data.py    sans-I/O market-data session: join, gaps, book states
    order_view.py     what the journal says about our orders, passes and kills: the gateway's memory
    checks.py         the last line of defence: what must hold before bytes of an order leave
    order_entry.py    sans-I/O order session: logon, requests in flight, answers and pushes
    download.py       the questions asked after every logon, before trading
    settings.py       the [gateway.NAME] table
    tail.py           the journal's tail: the past into the view, requests held until the watermark has passed them
    driver.py         sockets, rings and the journal's tail around the sessions; decides nothing

wire, mapping and order_mapping are the only places that know the venue's names. `exchange/` is the other side of the socket
and imports nothing from here.
"""
