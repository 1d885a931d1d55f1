"""Strategies that come with lockstep: a market maker and a moving-average cross. Examples to copy, and the demo's two traders."""
