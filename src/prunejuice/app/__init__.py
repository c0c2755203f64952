"""The application: wires the components together and offers them to Python programs.

Start with `wiring.open_app`, `run_actions`, `api`.
"""
