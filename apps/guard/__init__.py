"""apps.guard: is this code a function of the stream? Asked of the source (lint) and of the running code (trap).

Lives here: the rules, what each name of the outside world breaks, the checks of a syntax tree, waivers, and the trap that
replays and tests set. May import: apps.app, apps.discovery, journal.errors. No part of any app: hosts and the command use it.
"""
