"""Strategies that come with lockstep, to copy and for the demo: a market maker, a moving-average cross."""
