"""Lists of JSON objects, read and checked column by column: hundreds of thousands of them in a second."""

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from itertools import chain, islice
from numbers import Real
from operator import itemgetter
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srtod.support.errors import InputError, did_you_mean

NUMBERS = frozenset({int, float})
"""The types of real numbers that JSON knows."""

SEVERAL = -2
"""In place of a position: the name is that of several entries."""


class Entries:
    """The objects of one list in one file.

    What is wrong is noted by position, the first complaint about an entry, and a column holds NaN or -1 in
    its place: a caller leaves these entries out, or asks that there be none.

    Args:
        source: the file, for messages.
        kind: what an entry is (``detection``, ``annotation``, ...), for messages.
        items: the list.
    """

    def __init__(self, source: str, kind: str, items: Sequence[Any]) -> None:
        self.source = source
        self.kind = kind
        self.items: list[dict[str, Any]] = list(items)
        self.wrong: dict[int, str] = {}
        self.positions: Sequence[int] = range(len(items))
        if not set(map(type, items)) <= {dict}:
            for row, item in enumerate(items):
                if not isinstance(item, dict):
                    self.wrong[row], self.items[row] = f"{item!r:.80} is not an object", {}

    def take(self, which: NDArray[np.bool_]) -> "Entries":
        """Return those where ``which`` (``[N]``) is true; what is wrong with them is noted here."""
        part = copy(self)
        rows = np.flatnonzero(which).tolist()
        part.positions = [self.positions[row] for row in rows]
        part.items = [self.items[row] for row in rows]
        return part

    def complain(self, row: int, what: str) -> None:
        """Note what is wrong with an entry, unless something is already."""
        self.wrong.setdefault(self.positions[row], what)

    def sound(self, skipped: list[str] | None = None) -> NDArray[np.bool_]:
        """Return which entries (``[N]``) are not wrong.

        Args:
            skipped: takes a line about the others.

        Raises:
            InputError: any is wrong, and ``skipped`` is None: about the first, naming the file, its position
                and its ids.
        """
        if self.wrong:
            row = min(self.wrong)
            ids = [
                f"{key} {self.items[row][key]!r:.40}" for key in ("id", "image_id") if key in self.items[row]
            ]
            about = f" ({', '.join(ids)})" if ids else ""
            more = f"; and {len(self.wrong) - 1} more {self.kind}s are wrong" if len(self.wrong) > 1 else ""
            line = f"{self.source}: {self.kind} {row}{about}: {self.wrong[row]}{more}"
            if skipped is None:
                raise InputError(line)
            skipped.append(f"left out: {line}")
            return np.array([position not in self.wrong for position in self.positions], dtype=bool)
        return np.ones(len(self.positions), dtype=bool)

    def _lacks(self, row: int, key: str) -> str:
        return f"lacks the key {key!r}{did_you_mean(key, self.items[row])}"

    def refuse(self, wrong: ArrayLike, what: str, values: Sequence[Any] | NDArray[Any] = ()) -> None:
        """Note a complaint about the entries where ``wrong`` (``[N]``) is true.

        Args:
            wrong: which entries are wrong.
            what: the complaint; ``{}`` stands for the quoted value.
            values: what to quote of each, ``[N]``.
        """
        for row in np.flatnonzero(np.asarray(wrong, dtype=bool)).tolist():
            self.complain(row, what.format(f"{values[row]!r:.80}") if len(values) else what)

    def column(self, key: str) -> list[Any]:
        """Return the value of ``key`` in every entry; one that lacks it is wrong."""
        try:
            return list(map(itemgetter(key), self.items))
        except KeyError:
            for row, item in enumerate(self.items):
                if key not in item:
                    self.complain(row, self._lacks(row, key))
            return self.optional(key)

    def optional(self, key: str, default: Any = None) -> list[Any]:
        """Return the value of ``key`` in every entry, or the default."""
        return [item.get(key, default) for item in self.items]

    def numbers(self, key: str) -> NDArray[np.float64]:
        """Return the numbers under ``key``, float64 ``[N]``; NaN where one is missing or no finite number."""
        values = self.column(key)
        odd = set(map(type, values)) - NUMBERS
        floats = _floats([value if is_real(value) else np.nan for value in values] if odd else values)
        if odd:
            self.refuse([not is_real(value) for value in values], f"{key} {{}} is not a number", values)
        self.refuse(~np.isfinite(floats), f"{key} {{}} is not a finite number", values)
        return floats

    def boxes(
        self, key: str, other: Callable[[dict[str, Any]], Sequence[float] | None] | None = None
    ) -> NDArray[np.float64]:
        """Return the boxes under ``key``, x y width height, float64 ``[N, 4]``.

        Args:
            key: holds four numbers; where it does not, the box is wrong and NaN.
            other: where to take the box of an entry that has none; None where that has none either.
        """
        values: list[Any] = self.optional(key) if other else self.column(key)
        plain = set(map(type, values)) <= {list} and set(map(len, values)) <= {4}
        numbers = list(chain.from_iterable(values)) if plain else []
        if not (plain and set(map(type, numbers)) <= NUMBERS):
            for row, value in enumerate(values):
                if not _is_box(value):
                    found = other(self.items[row]) if other else None
                    if found is None:
                        shape = f"{key} {value!r:.80} is not a list of four numbers (x, y, width, height)"
                        self.complain(row, shape if key in self.items[row] else self._lacks(row, key))
                    values[row] = found or [np.nan] * 4
            numbers = list(chain.from_iterable(values))
        boxes = _floats(numbers).reshape(-1, 4)
        self.refuse(~np.isfinite(boxes).all(axis=1), f"{key} {{}} is not finite", values)
        return boxes

    def ids(self, key: str) -> list[Any]:
        """Return the values under ``key``, which must be whole numbers or texts, no two alike."""
        values = self.column(key)
        if not set(map(type, values)) <= {int, str}:
            strange = [not is_id(value) for value in values]
            self.refuse(strange, f"{key} {{}} is neither a whole number nor a string", values)
            values = [None if odd else value for value, odd in zip(values, strange, strict=True)]
        if len(set(values)) != len(values):
            first = {value: row for row, value in reversed(list(enumerate(values)))}
            again = [first[value] != row for row, value in enumerate(values)]
            self.refuse(again, f"{key} {{}} is there twice; give every {self.kind} its own", values)
        return values

    def lookup(self, key: str, index: Mapping[Any, int], source: str) -> NDArray[np.int64]:
        """Return ``index[value]`` for every value under ``key``, int64 ``[N]``; where it stands for none, -1.

        A number that is written as a text stands for the number, and a text for the text of a number.

        Args:
            key: holds an id or a name.
            index: what they stand for; :data:`SEVERAL` where that is not clear.
            source: where the known values come from, for messages.
        """
        values = self.column(key)
        try:
            found = np.fromiter(map(index.__getitem__, values), dtype=np.int64, count=len(values))
        except (KeyError, TypeError):
            found = np.array([find(index, value) for value in values], dtype=np.int64)
        self.refuse(found == SEVERAL, f"{key} {{}} is there several times in {source}; give an id", values)
        if (found < 0).any():
            self._refuse_unknown(key, values, found == -1, index, source)
        return found

    def _refuse_unknown(
        self, key: str, values: list[Any], unknown: NDArray[np.bool_], index: Mapping[Any, int], source: str
    ) -> None:
        some = ", ".join(map(repr, islice(index, 5))) + (", ..." if len(index) > 5 else "")
        words = [word for word in index if isinstance(word, str)]
        near: dict[str, str] = {}
        for row in np.flatnonzero(unknown).tolist():
            value = f"{values[row]!r:.80}"
            if value not in near:
                near[value] = did_you_mean(str(values[row]), words)
            what = f"{key} {value} is not known in {source}{near[value]}; known are {some or 'none'}"
            self.complain(row, what)


def find(index: Mapping[Any, int], value: Any) -> int:
    """Look an id or name up, text and number alike; -1 where it is not known."""
    if not isinstance(value, Hashable) or isinstance(value, bool):
        return -1
    other = str(value) if isinstance(value, int) else int(value) if _is_digits(value) else value
    return index.get(value, index.get(other, -1))


def is_id(value: object) -> bool:
    """Say whether a value can be an id: a whole number or a text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 19 and value.isascii() and value.isdecimal()


def is_real(value: object) -> TypeGuard[float]:
    """Say whether a value is a number that a float can hold, and not a truth value."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, Real)


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) == 4 and all(map(is_real, value))


def _floats(values: Sequence[Any]) -> NDArray[np.float64]:
    """The values as float64; whole numbers beyond its range, which JSON can hold, as infinity."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.array([value if abs(value) < 2**1023 else np.inf for value in values], dtype=np.float64)
