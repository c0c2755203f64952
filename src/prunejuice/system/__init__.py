"""Operating system services: processes, locks, stop requests, settings, YAML, logs, secret redaction.

Start with `process.run`, `stop_request.Stop`, `settings.load`.
"""
