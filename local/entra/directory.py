"""The tenant: its people, its groups, and who is in which. Read from a JSON file, changed at the control port."""

from typing import Annotated, Self
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, model_validator


class UnknownGroup(Exception):
    """A group of this name is not in the directory."""


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: UUID
    name: str


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9._-]+$")]
    """What the control port calls them, and the first half of their ``preferred_username``."""
    display_name: str
    oid: UUID
    groups: list[str] = []
    """Names of groups of the directory."""
    extra_groups: Annotated[int, Field(ge=0)] = 0
    """Membership of so many more groups, which nothing else names: enough of them make a token's group overage."""


class Directory(BaseModel):
    """One tenant and the app (an API) that its people's tokens are for."""

    model_config = ConfigDict(extra="forbid")

    tenant_id: UUID
    client_id: UUID
    groups: list[Group]
    people: list[Person]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for what, values in (
            ("group id", [group.id for group in self.groups]),
            ("group name", [group.name for group in self.groups]),
            ("person's name", [person.name for person in self.people]),
            ("person's oid", [person.oid for person in self.people]),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"a {what} is there twice")
        for person in self.people:
            try:
                self.group_ids(person)
            except UnknownGroup as error:
                raise ValueError(f"{person.name}: {error}") from None
        return self

    def person(self, name: str) -> Person | None:
        return next((person for person in self.people if person.name == name), None)

    def person_by_oid(self, oid: UUID) -> Person | None:
        return next((person for person in self.people if person.oid == oid), None)

    def set_groups(self, person: Person, names: list[str]) -> None:
        """Replace a person's groups. Raises :class:`UnknownGroup`, and then nothing has changed."""
        self.group_ids(person.model_copy(update={"groups": names}))
        person.groups = names

    def group_ids(self, person: Person) -> list[str]:
        """The ids of all the groups that a person is in. Raises :class:`UnknownGroup`."""
        ids = {group.name: str(group.id) for group in self.groups}
        unknown = [name for name in person.groups if name not in ids]
        if unknown:
            raise UnknownGroup(f"no such group: {', '.join(unknown)}")
        extra = (str(uuid5(person.oid, f"extra group {n}")) for n in range(person.extra_groups))
        return [*(ids[name] for name in dict.fromkeys(person.groups)), *extra]
