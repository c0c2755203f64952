"""The environment of a project, in every place where its code is judged.

A worktree is equipped with what the checkout has (`equipment.plan_equipment`); a copy stands in for the
checkout at its own path where the system allows it (`checkout_overlay`). A `place.Place` runs processes in
either.
"""
