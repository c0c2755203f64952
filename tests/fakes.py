"""Steps whose outcomes a test writes down: the port `Steps` without processes."""

import threading
import time

from prunejuice.engine.ports import StepResult


class ScriptedSteps:
    """Answers each step from a list: `"ok"`, `"fail"`, a result, or a function of the handle.

    What is not listed succeeds. `started` keeps the order, `most` how many ran at once.
    """

    def __init__(self, script=None):
        self.script = {step: list(answers) for step, answers in (script or {}).items()}
        self.started = []
        self.adopted = {}
        self.swept = []
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()

    def run_step(self, handle):
        with self._lock:
            self.started.append(handle.step.id)
            self.now += 1
            self.most = max(self.most, self.now)
            answers = self.script.get(handle.step.id, [])
            answer = answers.pop(0) if answers else "ok"
        try:
            if callable(answer):
                answer = answer(handle)
            if isinstance(answer, StepResult):
                return answer
            return StepResult(ok=answer != "fail", error="" if answer != "fail" else "it failed")
        finally:
            with self._lock:
                self.now -= 1

    def recover_result(self, _run, visit, _directory):
        return self.adopted.get(visit.step)

    def restore_files(self, _run, cut):
        self.put_back_for = [each.step for each in cut]
        return ""

    def end_run(self, run_id):
        """Nothing runs beside the steps."""

    def kill_processes(self, tag):
        self.swept.append(tag)
        return 0


def until_stopped(handle):
    """A step that goes on until it is asked to stop."""
    until = time.monotonic() + 10
    while not handle.stop.level and time.monotonic() < until:
        time.sleep(0.005)
    return StepResult(ok=False, error="stopped")
