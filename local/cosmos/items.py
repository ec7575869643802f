"""The operations on one item, each inside a transaction on its logical partition.

``if_match`` is an etag that the item must have, or ``*``. It applies to an item that exists: an upsert of one that
doesn't is a create, whatever the etag (Azure/azure-cosmos-dotnet-v3 issue 1698).
"""

from typing import Any, NamedTuple

from local.cosmos import charges
from local.cosmos.patch import patched
from local.cosmos.store import Item, Transaction, checked_id
from local.cosmos.wire import bad_request, conflict, not_found, precondition_failed


class Outcome(NamedTuple):
    status: int
    item: Item | None
    """As it now is; None if it is gone."""
    charge: float


def create(transaction: Transaction, body: Any) -> Outcome:
    if transaction.get(checked_id(body)):
        raise conflict()
    item = transaction.put(body, None)
    return Outcome(201, item, charges.write("create", len(item.raw)))


def upsert(transaction: Transaction, body: Any, if_match: str | None) -> Outcome:
    previous = transaction.get(checked_id(body))
    if previous is None:
        return create(transaction, body)
    _check_etag(previous, if_match)
    return _replaced(transaction, previous, body, "replace")


def replace(transaction: Transaction, item_id: str, body: Any, if_match: str | None) -> Outcome:
    previous = _existing(transaction, item_id, if_match)
    if checked_id(body) != item_id:
        raise bad_request("A replace can't change the id.")
    return _replaced(transaction, previous, body, "replace")


def patch(transaction: Transaction, item_id: str, instructions: Any, if_match: str | None) -> Outcome:
    previous = _existing(transaction, item_id, if_match)
    return _replaced(transaction, previous, patched(previous.body, instructions), "patch")


def delete(transaction: Transaction, item_id: str, if_match: str | None) -> Outcome:
    item = _existing(transaction, item_id, if_match)
    transaction.delete(item)
    return Outcome(204, None, charges.write("delete", len(item.raw)))


def _replaced(transaction: Transaction, previous: Item, body: dict[str, Any], kind: str) -> Outcome:
    item = transaction.put(body, previous)
    return Outcome(200, item, charges.write(kind, len(item.raw)))


def _existing(transaction: Transaction, item_id: str, if_match: str | None) -> Item:
    item = transaction.get(item_id)
    if item is None:
        raise not_found()
    _check_etag(item, if_match)
    return item


def _check_etag(item: Item, if_match: str | None) -> None:
    if if_match not in (None, "*", item.etag):
        raise precondition_failed()
