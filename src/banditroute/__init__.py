"""An online adaptive LLM router: a contextual bandit behind one OpenAI-compatible endpoint."""

__version__ = "0.1.0"

__all__: list[str] = []
