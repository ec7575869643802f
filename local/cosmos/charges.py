"""Request charges: an ESTIMATE from the figures that Microsoft publishes, not the service's own formula.

Published for a 1 KB item: a point read 1 RU, an insert about 5.5, a replace or upsert about 10, a delete about 5, a
query that returns one item from about 2.8; an item of 100 KB costs about 10 RU to read and 50 to insert. Strong
consistency doubles what reads and queries cost. https://learn.microsoft.com/azure/cosmos-db/request-units and
https://learn.microsoft.com/azure/cosmos-db/key-value-store-cost

The real charge of a write depends on how many properties are indexed, that of a query on its plan. Use the sums to
compare two designs, not to set a budget.
"""

READ = 1.0
"""A point read of up to 1 KB; also what an operation costs that finds its item in the wrong state."""

_WRITES = {"create": 5.5, "replace": 10.0, "patch": 10.0, "delete": 5.0}
_QUERY = 2.8
_LOOKED_AT = 1000


def read(size: int, *, strong: bool) -> float:
    """A point read of an item of ``size`` bytes."""
    return _reads(READ + 0.09 * _further_kilobytes(size), strong)


def write(kind: str, size: int) -> float:
    """A ``create``, ``replace``, ``patch`` or ``delete`` of an item of ``size`` bytes.

    An upsert is one of the first two.
    """
    return _WRITES[kind] * (1 + 0.09 * _further_kilobytes(size))


def query(size: int, items: int, *, strong: bool) -> float:
    """One page of ``items`` rows that together are ``size`` bytes."""
    return _reads(_QUERY + 0.05 * items + 0.09 * _further_kilobytes(size), strong)


def search(index: str, dimensions: int, vectors: int, *, strong: bool) -> float:
    """What VectorDistance adds to a query of a partition with so many vectors.

    There is no published formula. ASSUMED: what is read of the index costs as any other reading, a compressed
    vector has a byte for four dimensions, ``quantizedFlat`` reads all of them, and ``diskANN`` at most 1,000.
    """
    looked_at = min(vectors, _LOOKED_AT) if index == "diskANN" else vectors
    return _reads(0.09 * looked_at * dimensions / 4 / 1024, strong)


def _reads(charge: float, strong: bool) -> float:
    return charge * 2 if strong else charge


def _further_kilobytes(size: int) -> float:
    return max(0.0, size / 1024 - 1)
