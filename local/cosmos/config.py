"""The database and containers that exist from the start: in Azure they come from the infrastructure's templates."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

type _Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,255}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CompositePath(_Model):
    """As in an indexing policy's ``compositeIndexes``."""

    path: str
    order: Literal["ascending", "descending"]


class VectorSpec(_Model):
    """One entry of the vector policy, and its index. Vectors are of float32, and near by their cosine.

    https://learn.microsoft.com/azure/cosmos-db/nosql/vector-search
    """

    path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9_]+)+$")]
    dimensions: Annotated[int, Field(ge=1, le=4096)]
    index: Literal["quantizedFlat", "diskANN"]


class ContainerSpec(_Model):
    id: _Name
    partition_key: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9_]+)+$")]
    default_ttl: Annotated[int, Field(ge=-1)] | None = None
    """Seconds; -1 lets only items with a ttl of their own expire; null lets none."""
    composite_indexes: list[list[CompositePath]] = []
    """What an ORDER BY over several properties needs, in Azure as here."""
    vectors: list[VectorSpec] = []
    """What VectorDistance needs, here; Azure would scan."""

    @model_validator(mode="after")
    def _ttl_is_not_zero(self) -> Self:
        if self.default_ttl == 0:
            raise ValueError("default_ttl is -1, or a positive number of seconds")
        return self


class Containers(_Model):
    database: _Name
    containers: list[ContainerSpec]

    @classmethod
    def read(cls, file: Path) -> Self:
        return cls.model_validate_json(file.read_bytes())
