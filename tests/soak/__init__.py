"""Everything at once, for long: replicas, clients and a world that keeps breaking.

``run.py`` runs it at any size; ``test_soak.py`` at a small one with every test run.
"""
