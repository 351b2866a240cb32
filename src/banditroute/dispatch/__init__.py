"""From a request to an answer: decide, call the arm, fall back, record what the call did.

``dispatcher`` runs the calls; ``rewrite`` makes an upstream's answer ours; ``tally`` counts.
"""

from banditroute.dispatch.dispatcher import Answer, Dispatcher, StreamedAnswer

__all__ = ["Answer", "Dispatcher", "StreamedAnswer"]
