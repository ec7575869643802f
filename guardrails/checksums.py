"""Check digits, by the names under which a policy may ask for them. Each takes the text that a pattern matched."""

from collections.abc import Callable, Sequence
from itertools import cycle

_LEAST_DIGITS = 3
"""Fewer digits can't hold a check digit that says anything."""


def _digits(text: str) -> list[int]:
    return [int(character) for character in text if character.isascii() and character.isdigit()]


def luhn(text: str) -> bool:
    """Payment cards and many national numbers (ISO/IEC 7812-1, annex B)."""
    digits = _digits(text)
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return len(digits) >= _LEAST_DIGITS and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def mod_97(text: str) -> bool:
    """The last two digits bring the rest to 1 modulo 97, letters counting as 10 to 35 (ISO/IEC 7064, MOD 97-10)."""
    number = "".join(str(int(character, 36)) for character in text if character.isascii() and character.isalnum())
    return len(number) >= _LEAST_DIGITS and int(number) % 97 == 1


def iban(text: str) -> bool:
    """MOD 97-10, once the country and the check digits are put last (ISO 13616-1)."""
    compact = "".join(character for character in text if character.isascii() and character.isalnum())
    return mod_97(compact[4:] + compact[:4])


def _weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True))


def mod_11(text: str) -> bool:
    """Weights 2, 3, 4 ... from the right, the check digit (X for 10) last: NHS numbers, ISBN-10, many others."""
    digits = _digits(text[:-1])
    last = 10 if text[-1:] in ("x", "X") else int(text[-1]) if text[-1:].isdecimal() and text[-1:].isascii() else -1
    if len(digits) + 1 < _LEAST_DIGITS or last < 0:
        return False
    return (_weighted(digits[::-1], range(2, len(digits) + 2)) + last) % 11 == 0


def mod_10_731(text: str) -> bool:
    """Weights 7, 3, 1 in turn, the check digit last: machine-readable travel documents (ICAO Doc 9303-3, 4.9)."""
    characters = [
        character for character in text.upper() if character.isascii() and (character.isalnum() or character == "<")
    ]
    values = [0 if character == "<" else int(character, 36) for character in characters]
    if len(values) < _LEAST_DIGITS or not characters[-1].isdigit():
        return False
    return sum(value * weight for value, weight in zip(values[:-1], cycle((7, 3, 1)))) % 10 == values[-1]


_VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _dihedral(left: int, right: int) -> int:
    """The product in the dihedral group of order 10."""
    if left < 5:
        return (left + right) % 5 + 5 * (right >= 5)
    return (left - right) % 5 + 5 * (right < 5)


def verhoeff(text: str) -> bool:
    """Verhoeff's dihedral check, as in India's Aadhaar numbers."""
    digits, check = _digits(text), 0
    for place, digit in enumerate(reversed(digits)):
        permuted = digit
        for _ in range(place % 8):
            permuted = _VERHOEFF_PERMUTATION[permuted]
        check = _dihedral(check, permuted)
    return len(digits) >= _LEAST_DIGITS and check == 0


CHECKSUMS: dict[str, Callable[[str], bool]] = {
    "luhn": luhn,
    "iban": iban,
    "mod-97": mod_97,
    "mod-11": mod_11,
    "mod-10-731": mod_10_731,
    "verhoeff": verhoeff,
}
