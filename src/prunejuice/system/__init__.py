"""Operating system services: processes, locks, stop requests, settings, YAML, logs, secret redaction.

Start with `process.run`, `stop.Stop`, `settings.load`.
"""
