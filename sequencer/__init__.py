"""sequencer: the one order. What becomes a fact, when, and under which number.

Lives here: the rings that publishers write into, admission (identity, grants, numbering, wire rules), the loop that stamps
and appends, the daemon around it, and the client that publishes. May import: journal. Never: a trading decision, a look
into a message beyond its wire rules, a wait for a reader.
"""
