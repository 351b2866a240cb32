"""Pure arithmetic and logic: no I/O, no clock, no global randomness.

Floats are added by ``fsum``: since Python 3.12 ``sum`` rounds Python's in another way than
numpy's, and replicas must agree to the last bit.

From a request to a decision: ``context`` makes the vector x; ``quality`` and ``usage`` hold
what the log taught of each arm; ``beliefs`` combines them for one request; ``eligibility``
removes the arms that may not be used; ``policies`` and ``selection`` turn the rest into the
distribution that the arm is drawn from. ``fold`` makes a router's state from its log.
"""
