"""riskengine: pre-trade checks, limits, exposure, kills.

Lives here: the decision on every new order and replace, and the exposure it is made on. In: messages in sequence order. Out: a
RiskDecision for each request, with every check and what it saw. May import: journal.messages, pure parts of the standard
library, msgspec. Never: a clock, a socket, a file, random, a process; nor the OMS, whose word it reads from the stream.
"""
