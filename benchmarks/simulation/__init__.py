"""What ``bench_simulate.py`` runs in processes of their own: the work, and who does it."""
