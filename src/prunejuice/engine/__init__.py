"""Run execution: events fold into the state of a run, the schedule picks steps, the driver runs them.

Start with `driver.start_run`, `schedule.next_decisions`, `ports.Store`.
"""
