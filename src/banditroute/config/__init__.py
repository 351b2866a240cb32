"""The configuration file: read whole, checked whole, and refused with every mistake at once."""

from banditroute.config.loading import default_text, load, parse
from banditroute.config.schema import (
    ArmSettings,
    FeatureSettings,
    LoggingSettings,
    OpenAIProviderSettings,
    ProviderSettings,
    RouterSettings,
    ServerSettings,
    Settings,
    SimulatedProviderSettings,
    Simulation,
    StoreSettings,
    TaskSettings,
)

__all__ = [
    "ArmSettings",
    "FeatureSettings",
    "LoggingSettings",
    "OpenAIProviderSettings",
    "ProviderSettings",
    "RouterSettings",
    "ServerSettings",
    "Settings",
    "SimulatedProviderSettings",
    "Simulation",
    "StoreSettings",
    "TaskSettings",
    "default_text",
    "load",
    "parse",
]
