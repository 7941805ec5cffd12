"""Roles and who has them: what a person or program may do."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from schemas.errors import SettingsError

_REQUIRED = "required_role"

H = TypeVar("H", bound=Callable[..., Any])


class Role(IntEnum):
    """What a person or program may do; each may do what those below it may."""

    VIEWER = 1
    MAPPER = 2
    OPERATOR = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks; the name is recorded with what they change."""

    name: str
    role: Role


LOCAL = Identity("local", Role.VIEWER)
"""Whoever asks where nobody has to sign in; only on this machine, and only to look."""


def role_named(word: str, whose: str) -> Role:
    """Return the role of a setting.

    Raises:
        SettingsError: there is no such role; `whose` begins the sentence.

    """
    if word.upper() not in Role.__members__:
        raise SettingsError(f"{whose} must be one of {', '.join(one.lower() for one in Role.__members__)}")
    return Role[word.upper()]


def at_least(role: Role) -> Callable[[H], H]:
    """Mark a handler: it is for this role and those above; without a mark it is for viewers."""

    def mark(handler: H) -> H:
        setattr(handler, _REQUIRED, role)
        return handler

    return mark


def required_role(handler: object) -> Role:
    """Return the role that a handler asks for."""
    return Role(getattr(handler, _REQUIRED, Role.VIEWER))
