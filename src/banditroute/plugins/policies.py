"""Policies by name: the built-in ones, and a user's own."""

from __future__ import annotations

from pathlib import Path

from banditroute.core.policies import POLICY_NAMES, Policy, policy_from
from banditroute.errors import PluginError
from banditroute.plugins.contract import check_policy
from banditroute.plugins.loading import HERE, make


def is_own(spec: str) -> bool:
    """Whether a spec can only be a user's own class."""
    home = spec.partition(":")[0]
    return home not in POLICY_NAMES and (":" in spec or home.endswith(".py"))


def load_policy(spec: str, folder: Path = HERE) -> Policy:
    """The policy that a spec names; one of the user's own keeps the contract.

    ``thompson`` and the other built-in ones, with ``:parameter`` if any; else
    ``file.py:Class`` or ``package.module:Class``, made without arguments, or with the one that
    follows a second colon. Paths are relative to ``folder``. Raises PluginError.
    """
    if not is_own(spec):
        return _built_in(spec)
    policy: Policy = make(spec, folder)
    check_policy(policy, spec)
    return policy


def _built_in(spec: str) -> Policy:
    try:
        return policy_from(spec)
    except ValueError as error:
        text = f"{spec}: {error}; or name your own, as in my_policy.py:Mine"
        raise PluginError(text) from None
