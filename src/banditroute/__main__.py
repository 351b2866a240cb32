"""``python -m banditroute``."""

from banditroute.cli import main

main()
