"""Runs survive SIGKILL; `make bench` kills them at more than 200 moments."""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import kill


def test_a_driver_killed_at_random_moments_loses_and_repeats_nothing():
    tally = kill.torture(8, random.Random(7))
    assert tally.kills > 0
    assert (tally.lost, tally.repeated, tally.left_over, tally.stuck) == (0, 0, 0, 0)
