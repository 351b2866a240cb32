"""The wire: OpenAI's chat API, feedback, and what was decided and learned.

``app`` puts it together; ``bodies`` are the shapes that come in, ``views`` those that go out;
``chat``, ``feedback``, ``state`` and ``metrics`` are the endpoints; ``errors`` alone knows
status codes.
"""

from banditroute.http.app import create_app

__all__ = ["create_app"]
