"""Lists of JSON objects, read and checked column by column: hundreds of thousands of them in a second."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain, islice, repeat
from numbers import Real
from operator import contains, itemgetter
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srtod.support.errors import InputError, did_you_mean

_REQUIRED = object()


class Entries:
    """The objects of one list in one file.

    Args:
        source: the file, for messages.
        kind: what an entry is (``detection``, ``annotation``, ...), for messages.
        items: the list.
        positions: place of each item in the file's list; counted from 0 if not given.

    Raises:
        InputError: an item is not an object.
    """

    def __init__(
        self, source: str, kind: str, items: Sequence[Any], positions: Sequence[int] | None = None
    ) -> None:
        self.source = source
        self.kind = kind
        self.items = items
        self.positions = range(len(items)) if positions is None else positions
        if not set(map(type, items)) <= {dict}:
            self.refuse([not isinstance(item, dict) for item in items], items, "{} is not an object")

    def having(self, key: str) -> NDArray[np.bool_]:
        """Which entries have the key, bool ``[N]``."""
        return np.fromiter(map(contains, self.items, repeat(key)), dtype=bool, count=len(self.items))

    def take(self, rows: Iterable[int]) -> "Entries":
        """Return some of the entries; they keep their positions, so that messages name the right ones."""
        return Entries(
            self.source, self.kind, [self.items[i] for i in rows], [self.positions[i] for i in rows]
        )

    def column(self, key: str, *, default: Any = _REQUIRED) -> list[Any]:
        """Return the value of ``key`` in every entry.

        Raises:
            InputError: an entry lacks it and there is no default.
        """
        if default is not _REQUIRED:
            return [item.get(key, default) for item in self.items]
        try:
            return list(map(itemgetter(key), self.items))
        except KeyError:
            row = next(i for i, item in enumerate(self.items) if key not in item)
            self.fail(row, f"lacks the key {key!r}{did_you_mean(key, self.items[row])}")

    def numbers(self, key: str, *, default: Any = _REQUIRED) -> NDArray[np.float64]:
        """Return the numbers under ``key``, float64 ``[N]``.

        Raises:
            InputError: one is missing, not a number or not finite.
        """
        values = self.column(key, default=default)
        self.refuse(_not_numbers(values), values, f"{key} {{}} is not a number")
        numbers = _as_floats(values)
        self.refuse(~np.isfinite(numbers), values, f"{key} {{}} is not a finite number")
        return numbers

    def boxes(self, key: str) -> NDArray[np.float64]:
        """Return the boxes under ``key``, x y width height, float64 ``[N, 4]``.

        Raises:
            InputError: one is missing, not four finite numbers, or has a negative width or height.
        """
        values = self.column(key)
        shape = f"{key} {{}} is not a list of four numbers (x, y, width, height)"
        if not (set(map(type, values)) <= {list} and set(map(len, values)) <= {4}):
            self.refuse([not _is_four(value) for value in values], values, shape)
        flat = list(chain.from_iterable(values))
        self.refuse(_not_numbers(flat).reshape(-1, 4).any(axis=1), values, shape)
        boxes = _as_floats(flat).reshape(-1, 4)
        self.refuse(~np.isfinite(boxes).all(axis=1), values, f"{key} {{}} is not finite")
        self.refuse((boxes[:, 2:] < 0).any(axis=1), values, f"{key} {{}} has a negative width or height")
        return boxes

    def lookup(self, key: str, index: Mapping[Any, int], source: str) -> NDArray[np.int64]:
        """Return ``index[value]`` for every value under ``key``, int64 ``[N]``.

        Args:
            key: holds an id or a name.
            index: what they stand for.
            source: where the known values come from, for messages.

        Raises:
            InputError: a value is missing, or stands for nothing.
        """
        values = self.column(key)
        try:
            return np.fromiter(map(index.__getitem__, values), dtype=np.int64, count=len(values))
        except (KeyError, TypeError):
            row = next(i for i, value in enumerate(values) if not _known(value, index))
            near = did_you_mean(str(values[row]), [word for word in index if isinstance(word, str)])
            some = ", ".join(map(repr, islice(index, 5))) + (", ..." if len(index) > 5 else "")
            self.fail(
                row, f"{key} {values[row]!r:.80} is not known in {source}{near}; known are {some or 'none'}"
            )

    def unique(self, key: str) -> list[Any]:
        """Return the values under ``key``, which must be whole numbers or strings, no two alike.

        Raises:
            InputError: one is missing, of another type, or there twice.
        """
        values = self.column(key)
        wrong = [isinstance(value, bool) or not isinstance(value, int | str) for value in values]
        self.refuse(wrong, values, f"{key} {{}} is neither a whole number nor a string")
        if len(set(values)) != len(values):
            first = {value: row for row, value in reversed(list(enumerate(values)))}
            again = [first[value] != row for row, value in enumerate(values)]
            self.refuse(again, values, f"{key} {{}} is there twice; give every {self.kind} its own")
        return values

    def refuse(self, wrong: ArrayLike, values: Sequence[Any], what: str) -> None:
        """Raise an InputError about the first entry where ``wrong`` (``[N]``) is true, if there is one.

        Args:
            wrong: which entries are wrong.
            values: what to quote of each, ``[N]``.
            what: message; ``{}`` stands for the quoted value.
        """
        rows = np.flatnonzero(np.asarray(wrong, dtype=bool))
        if rows.size:
            self.fail(int(rows[0]), what.format(f"{values[rows[0]]!r:.80}"))

    def fail(self, row: int, what: str) -> NoReturn:
        """Raise an InputError about the entry at ``row``, naming the file, its position and its ids."""
        item = self.items[row]
        ids = [
            f"{key} {item[key]!r:.40}" for key in ("id", "image_id") if isinstance(item, dict) and key in item
        ]
        about = f" ({', '.join(ids)})" if ids else ""
        raise InputError(f"{self.source}: {self.kind} {self.positions[row]}{about}: {what}")


def _not_numbers(values: Sequence[Any]) -> NDArray[np.bool_]:
    """Which values are no real numbers, bool ``[N]``; by type, so that the usual case costs one pass."""
    strange = {
        kind for kind in set(map(type, values)) if issubclass(kind, bool) or not issubclass(kind, Real)
    }
    if not strange:
        return np.zeros(len(values), dtype=bool)
    return np.array([type(value) in strange for value in values], dtype=bool)


def _as_floats(values: Sequence[Any]) -> NDArray[np.float64]:
    """The values as float64; whole numbers beyond its range, which JSON can hold, as infinity."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.array([value if abs(value) < 2**1023 else np.inf for value in values], dtype=np.float64)


def _is_four(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and len(value) == 4


def _known(value: Any, index: Mapping[Any, int]) -> bool:
    return isinstance(value, Hashable) and value in index
