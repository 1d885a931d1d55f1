"""replay.whatif: two runs over the same inputs, compared by their decisions only.

Lives here: the inputs of a recorded session (`recorded`), the decisions of a run (`decisions`), what differs between two
(`compare`), the page of it (`page`) and its plots of both equity curves (`equity`). Both runs are backtests against the same
simulated venue: what a recorded venue said of orders that are not sent any more, or that it never got, is nothing anybody can
know.
"""
