"""One module a group of goals; ``GOALS`` in ``run.py`` names them all."""
