"""replay.backtest: the same apps over recorded market data, against a simulated venue, into a new journal.

The host is the sequencer here: it orders market data, the venue's answers and the apps' own emissions by stream time, writes
them as frames and steps the apps through them. Equal inputs give equal bytes.
"""
