"""Role bindings: which directory groups hold which role, and for which teams. Only a platform admin binds."""

from governance.access import ACCESS, Binding, Role, bindings_in, role_document
from governance.changes import Conflict, Journal, as_seen, change_event
from governance.identity import Caller
from governance.teams import require_teams
from services.documents import Items


async def read_role(config: Items, role: Role, first_admins: str) -> tuple[list[Binding], str | None]:
    """The role's bindings, and the ETag of the document that they are in; None as long as nobody has bound it."""
    document = await config.read(f"role:{role}", ACCESS)
    if document is not None:
        return bindings_in(document), document["_etag"]
    return [Binding(group=first_admins)] if role is Role.PLATFORM_ADMIN else [], None


async def set_role(
    journal: Journal,
    role: Role,
    bindings: list[Binding],
    *,
    etag: str | None,
    by: Caller,
    first_admins: str,
    reason: str,
) -> str:
    """Bind a role to these groups and no others. ``etag`` is as :func:`read_role` gave it. Returns the new one.

    Raises :class:`governance.changes.Outdated`, and :class:`governance.changes.Conflict` for a team that there is
    none of, or if the caller would not be a platform admin any more: so there is always one, who exists.
    """
    if role is Role.PLATFORM_ADMIN:
        if any(binding.teams is not None for binding in bindings):
            raise Conflict("The role platform_admin can't be limited to teams.")
        if not any(binding.group in by.groups for binding in bindings):
            raise Conflict("You would not be a platform admin any more. Another one can take the role from you.")
    await require_teams(journal.store.config, {team for binding in bindings for team in binding.teams or []})
    document = role_document(role, bindings)
    before = await journal.store.config.read(document["id"], ACCESS)
    as_seen(before, etag)
    bound, _ = await read_role(journal.store.config, role, first_admins)
    event = change_event(
        "role.set",
        actor=by.oid,
        target=document["id"],
        reason=reason,
        Before={"bindings": [binding.model_dump() for binding in bound]},
        After={"bindings": document["bindings"]},
    )
    if before is None:
        return await journal.create("config", document, event)
    return await journal.replace("config", before, document, event)
