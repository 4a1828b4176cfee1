"""Who may do what: rules with public names, an operator's file that changes them, and the engine that decides."""

from novakit.policy.engine import Policy, refused
from novakit.policy.file import PolicyFile
from novakit.policy.rules import PROJECT, PolicyRule, own, table

__all__ = ["PROJECT", "Policy", "PolicyFile", "PolicyRule", "own", "refused", "table"]
