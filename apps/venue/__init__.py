"""apps.venue: what a venue does with our orders, without a socket.

Lives here: a price-time matching engine (`matching`), the same order interface over a recorded market (`recorded`), the
events both answer with. The simulated exchange's process and backtests drive it.
May import: journal.messages, sortedcontainers. Never: a clock, a socket, a file, random, a float. `now_ns` is an argument.
"""
