"""Programs that make sandboxes, one module each, behind `protocol.SandboxProgram`."""
