"""gateways.sim: the gateway of the simulated exchange (docs/simulated-exchange.md).

    decimals.py       the venue's decimal text and our integer mantissas, exactly or with an error
    wire.py           the venue's JSON as typed, strictly decoded structs
    mapping.py        market data: venue structs to our messages
    order_mapping.py  orders: venue structs to our messages and ours to requests; the table of reasons
    market_data.py    sans-I/O market-data session: join, gaps, book states
    order_view.py     what the journal says about our orders, passes and kills: the gateway's memory
    order_entry.py    sans-I/O order session: last line of defence, requests in flight
    download.py       the questions asked after every logon, before trading
    driver.py         sockets, rings and the journal's tail; decides nothing

wire, mapping and order_mapping are the only places that know the venue's names. `exchange/` is the other side of the socket
and imports nothing from here.
"""
