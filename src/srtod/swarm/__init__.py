"""Synthetic drone swarms with the statistics of the DroneSwarms data set.

:func:`synthesize` makes a data set: scenery and things that fly are drawn by procedure, or real cut-outs are
composed over photographs, and a simulated camera takes the picture.
"""

from srtod.swarm.synthesis import Synthesized, synthesize

__all__ = ["Synthesized", "synthesize"]
