"""Passwords: argon2id hashes, computed in threads, a few at a time."""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

import argon2

MAX_LENGTH = 4096
"""Characters; hashing a longer one would cost whoever sends it less than us."""

_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="passwords")
"""Their own, so that a flood of logins waits here and not in everybody's way."""

_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


async def hashed(password: str) -> str:
    """Hash a password for keeping."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def matches(password: str, kept: str | None) -> bool:
    """Return whether a password is the right one; an account without one takes just as long to say no."""
    if len(password) > MAX_LENGTH:
        return False
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, password, kept)


def _verify(password: str, kept: str | None) -> bool:
    try:
        _hasher.verify(kept or _decoy(), password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
    return kept is not None


@functools.cache
def _decoy() -> str:
    return _hasher.hash("nobody has this password")
