"""Name patterns of list filters: the harmless part of regular expressions, matched in bounded time."""

from collections.abc import Sequence

import attrs

from novakit import errors

ONE, MANY = "one", "many"
_SPECIAL = frozenset("[](){}+?*")
MAX_LENGTH = 255
"""Characters; a server's name has no more."""


@attrs.frozen
class Wild:
    """Any one character, or any number of them."""

    kind: str


PatternToken = str | Wild


@attrs.frozen
class Pattern:
    """Alternatives of literal text and wildcards; letters match whatever their case."""

    alternatives: tuple[tuple[PatternToken, ...], ...]

    def likes(self) -> list[str]:
        r"""Write it as SQL LIKE patterns with `\` as the escape; one of them must match."""
        return ["".join(_like(token) for token in tokens) for tokens in self.alternatives]

    def matches(self, text: str) -> bool:
        """Return whether one alternative matches the whole text, in time of pattern times text at most."""
        return any(_glob(tokens, text.lower()) for tokens in self.alternatives)


def parse(expression: str) -> Pattern:
    """Read text, `.`, `.*`, `.+`, `^`, `$`, `|` and escapes. Raises BadRequest for what could take long to match."""
    if len(expression) > MAX_LENGTH:
        raise errors.BadRequest(f"A name pattern may have {MAX_LENGTH} characters at most.")
    parts: list[list[str]] = [[]]
    escaped = False
    for character in expression:
        if character == "|" and not escaped:
            parts.append([])
            continue
        parts[-1].append(character)
        escaped = character == "\\" and not escaped
    return Pattern(tuple(_alternative("".join(part), expression) for part in parts))


def _alternative(part: str, whole: str) -> tuple[PatternToken, ...]:
    start = part.startswith("^")
    part = part[1:] if start else part
    end = part.endswith("$") and not part.endswith("\\$")
    part = part[:-1] if end else part
    tokens: list[PatternToken] = [] if start else [Wild(MANY)]
    at = 0
    while at < len(part):
        character = part[at]
        following = part[at + 1 : at + 2]
        if character == "\\" and following and not following.isalnum():
            tokens.append(following.lower())
            at += 2
        elif character == "." and following in ("*", "+"):
            tokens += [Wild(MANY)] if following == "*" else [Wild(ONE), Wild(MANY)]
            at += 2
        elif character in _SPECIAL or character == "\\":
            raise errors.BadRequest(
                f"The pattern '{whole[:80]}' uses '{character}'. Patterns take text, '.', '.*', '.+', '^', '$', '|' "
                "and '\\' before a special character."
            )
        else:
            tokens.append(Wild(ONE) if character == "." else character.lower())
            at += 1
    return tuple(tokens if end else [*tokens, Wild(MANY)])


def _like(token: PatternToken) -> str:
    if isinstance(token, Wild):
        return "_" if token.kind == ONE else "%"
    return "\\" + token if token in "%_\\" else token


def _glob(tokens: Sequence[PatternToken], text: str) -> bool:
    place = at = 0
    star = back = -1
    while at < len(text):
        token = tokens[place] if place < len(tokens) else None
        if isinstance(token, Wild) and token.kind == MANY:
            star, back = place, at
            place += 1
        elif token is not None and (isinstance(token, Wild) or token == text[at]):
            place, at = place + 1, at + 1
        elif star >= 0:
            back += 1
            place, at = star + 1, back
        else:
            return False
    return all(isinstance(token, Wild) and token.kind == MANY for token in tokens[place:])
