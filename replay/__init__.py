"""replay: yesterday, as often as needed. Verify, debug, backtest, audit, report.

May import: journal, apps (and through them oms, riskengine), the venue core. Never: a venue, a socket, a ring: a replay
cannot send an order, because nothing here can.
"""
