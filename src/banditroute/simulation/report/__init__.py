"""A study as pictures and as a page that can be sent to somebody.

``write_report`` draws everything into a folder; ``figures`` has each picture as a function.
``changes`` and ``series`` are the arithmetic, ``canvas`` and ``palette`` the look, ``tables``,
``markup`` and ``page`` the HTML. Needs ``banditroute[plots]``: ``check`` says so beforehand.
"""

from banditroute.simulation.report.writing import check, write_report

__all__ = ["check", "write_report"]
