"""How long a test waits for what must come, before it calls something broken."""

PATIENCE_S = 60.0  # however busy the machine is
