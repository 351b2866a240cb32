"""The configuration file: read whole, checked whole, and refused with every mistake at once."""

from banditroute.config.limits import BudgetSettings, RouterBudget
from banditroute.config.loading import default_text, load, parse
from banditroute.config.schema import (
    ArmSettings,
    FeatureSettings,
    JudgeSettings,
    KeySettings,
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
    "BudgetSettings",
    "FeatureSettings",
    "JudgeSettings",
    "KeySettings",
    "LoggingSettings",
    "OpenAIProviderSettings",
    "ProviderSettings",
    "RouterBudget",
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
