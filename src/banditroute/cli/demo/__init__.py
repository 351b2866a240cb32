"""``banditroute demo``: start the router, drive it over HTTP, show what it learns.

``stage`` sets the world up, ``driver`` plays the clients, ``tally`` counts what was measured,
``screen`` and ``picture`` show it.
"""

from banditroute.cli.demo.command import demo

__all__ = ["demo"]
