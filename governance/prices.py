"""What a model endpoint charges, as the customer contracted it (claim C3)."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.clock import Timestamp, in_utc

MICRO = 1_000_000


class Price(BaseModel):
    """One row of an endpoint's prices, in micro-units of ``currency`` for a million tokens."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    since: Annotated[Timestamp, AfterValidator(in_utc)] = Field(validation_alias="from", serialization_alias="from")
    """From when it holds: a date, which begins in UTC, or a time."""
    currency: str = Field(pattern="^[A-Z]{3}$")
    """As ISO 4217 names it."""
    input_micro: int = Field(ge=0)
    cached_input_micro: int | None = Field(default=None, ge=0)
    """For input that the provider had in its cache; none where it costs the same."""
    output_micro: int = Field(ge=0)

    def cost_micro(self, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0) -> int:
        """Rounded up to a whole micro-unit. The cached tokens are some of the input's."""
        cached = self.input_micro if self.cached_input_micro is None else self.cached_input_micro
        uncached = (input_tokens - cached_input_tokens) * self.input_micro
        return -(-(uncached + cached_input_tokens * cached + output_tokens * self.output_micro) // MICRO)

    def most_micro(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost, however many of them come from a cache."""
        return max(self.cost_micro(input_tokens, output_tokens, cached) for cached in (0, input_tokens))


def price_at(prices: list[Price], moment: datetime) -> Price | None:
    """The row in force: the last whose ``from`` is not after that time, of two from one time the later listed."""
    begun = [price for price in prices if price.since <= moment]
    return sorted(begun, key=lambda price: price.since)[-1] if begun else None
