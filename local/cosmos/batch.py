"""Transactional batch: up to a hundred operations on one logical partition, all or none.

The answer has one result an operation. If one fails, it has its own status and every other has 424, and the batch as a
whole is 207: https://learn.microsoft.com/azure/cosmos-db/transactional-batch
"""

from typing import Annotated, Any, Literal, NamedTuple, assert_never

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from local.cosmos import charges, items
from local.cosmos.items import Outcome
from local.cosmos.sql import SqlError
from local.cosmos.store import Transaction
from local.cosmos.wire import CosmosError, bad_request, not_found, not_supported


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: Annotated[
        Literal["Create", "Upsert", "Read", "Replace", "Patch", "Delete"], Field(validation_alias="operationType")
    ]
    id: str = ""
    body: Annotated[Any, Field(validation_alias="resourceBody")] = None
    if_match: Annotated[str | None, Field(validation_alias="ifMatch")] = None


_operations = TypeAdapter(Annotated[list[_Operation], Field(min_length=1, max_length=100)])


class BatchOutcome(NamedTuple):
    status: int
    results: list[dict[str, Any]]
    charge: float


def name(body: bytes) -> str:
    """The batch as an operation for counts and faults: ``patches`` if it makes, replaces and deletes nothing."""
    try:
        operations = _operations.validate_json(body)
    except ValidationError:
        return "batch"
    return "patches" if all(each.kind == "Patch" for each in operations) else "batch"


def run(transaction: Transaction, request: Any, *, strong: bool) -> BatchOutcome:
    """Stage all operations. The transaction is to be committed only if the status is 200."""
    try:
        operations = _operations.validate_python(request)
    except ValidationError as error:
        raise bad_request("The batch is not 1 to 100 operations of a kind supported here.") from error
    results: list[dict[str, Any]] = []
    charge = 0.0
    for index, operation in enumerate(operations):
        try:
            outcome = _perform(transaction, operation, strong)
        except (CosmosError, SqlError) as error:
            failed: list[dict[str, Any]] = [{"statusCode": 424, "requestCharge": 0.0} for _ in operations]
            failed[index] = _failure(error)
            return BatchOutcome(207, failed, charge + charges.READ)
        charge += outcome.charge
        results.append(_result(outcome))
    return BatchOutcome(200, results, charge)


def _perform(transaction: Transaction, operation: _Operation, strong: bool) -> Outcome:
    if operation.if_match and operation.kind in ("Create", "Read"):
        raise not_supported(f"if_match_etag with {operation.kind.lower()}")
    match operation.kind:
        case "Create":
            return items.create(transaction, operation.body)
        case "Upsert":
            return items.upsert(transaction, operation.body, operation.if_match)
        case "Replace":
            return items.replace(transaction, operation.id, operation.body, operation.if_match)
        case "Patch":
            return items.patch(transaction, operation.id, operation.body, operation.if_match)
        case "Delete":
            return items.delete(transaction, operation.id, operation.if_match)
        case "Read":
            item = transaction.get(operation.id)
            if item is None:
                raise not_found()
            return Outcome(200, item, charges.read(len(item.raw), strong=strong))
        case other:
            assert_never(other)


def _result(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {"statusCode": outcome.status, "requestCharge": outcome.charge}
    if outcome.item:
        result |= {"eTag": outcome.item.etag, "resourceBody": outcome.item.body}
    return result


def _failure(error: CosmosError | SqlError) -> dict[str, Any]:
    if isinstance(error, SqlError):
        return {"statusCode": 400, "subStatusCode": 0, "requestCharge": charges.READ}
    if error.substatus == 1001:  # an item of another partition: the request as a whole is wrong
        raise error
    return {"statusCode": error.status, "subStatusCode": error.substatus, "requestCharge": charges.READ}
