"""apps: the deterministic applications and the runtime that hosts them.

Lives here: App, the group that steps apps frame by frame, timers, snapshots, the live host, and the apps themselves: books,
instruments, positions, the simulated venue's core, strategies, and thin wraps of oms and riskengine.
May import: journal, sequencer (the live host only), oms, riskengine. Never: a venue, a socket, a clock.
"""
