"""Fixtures of the core's tests."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_260_701)


@pytest.fixture
def jumpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms raise alarms so soon that a short log holds some."""
    monkeypatch.setattr("banditroute.core.drift.THRESHOLD", 3.0)
    monkeypatch.setattr("banditroute.core.quality.SURE_N", 10.0)
