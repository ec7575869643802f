"""``VectorDistance``: how near two vectors are by their cosine, from -1 (opposite) to 1 (the same direction).

https://learn.microsoft.com/azure/cosmos-db/nosql/query/vectordistance
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from local.cosmos.sql.expressions import Expression, Member, Row
from local.cosmos.sql.lexer import SqlError
from local.cosmos.sql.values import UNDEFINED, Value, is_number

type Vector = npt.NDArray[np.float32]
"""Of length 1, so that the cosine of two is their dot product; all zeros if it has no direction."""


def vector_of(value: Value) -> Vector | None:
    """None for what is not an array of numbers."""
    if not isinstance(value, list) or not value or not all(map(is_number, value)):
        return None
    wide = np.asarray(value, np.float64)
    length = float(np.linalg.norm(wide))
    return (wide / length if length else wide).astype(np.float32)


@dataclass(frozen=True, slots=True)
class VectorDistance:
    """Of a property and what the query is about. Undefined for an item without such a vector."""

    member: Member
    about: Expression
    """Names no item: the same for every row."""

    @property
    def path(self) -> str:
        """As a container's vector policy names it: ``/vector``."""
        return "/" + "/".join(self.member.path() or ())

    def wanted(self, parameters: Row) -> Vector:
        """Raises :class:`SqlError`."""
        vector = vector_of(self.about.evaluate(parameters))
        if vector is None:
            raise SqlError("The second argument of VectorDistance is not an array of numbers.")
        return vector

    def evaluate(self, row: Row) -> Value:
        vector = vector_of(self.member.evaluate(row))
        return UNDEFINED if vector is None else self.scores([vector], row)[0]

    def scores(self, vectors: Sequence[Vector], parameters: Row) -> list[float]:
        """Of many items at once. Raises :class:`SqlError`."""
        wanted = self.wanted(parameters)
        if any(vector.shape != wanted.shape for vector in vectors):
            raise SqlError("The vectors of VectorDistance have different numbers of dimensions.")
        found: Any = np.stack(vectors) @ wanted if vectors else np.empty(0)
        return [float(score) for score in found]
