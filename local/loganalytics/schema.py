"""The data collection rule and its tables, as Bicep declares them in Azure. Read from a JSON file.

Names that Azure would refuse are refused here:
https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table
"""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

type KqlType = Literal["string", "int", "long", "real", "boolean", "datetime", "dynamic", "guid"]

type StreamName = Annotated[str, Field(pattern=r"^Custom-[A-Za-z0-9_]+$")]
type TableName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*_CL$")]
type ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,44}$")]

_RESERVED_COLUMNS = frozenset(
    ("id", "billedsize", "isbillable", "invalidtimegenerated", "tenantid", "title", "type", "uniqueid")
)


class Stream(BaseModel):
    """What may be uploaded, and the table that it goes to, unchanged."""

    model_config = ConfigDict(extra="forbid")

    table: TableName
    columns: dict[ColumnName, KqlType]

    @model_validator(mode="after")
    def _has_columns_that_azure_takes(self) -> Self:
        if self.columns.get("TimeGenerated") != "datetime":
            raise ValueError("a table needs a column TimeGenerated of type datetime")
        # KQL's names are case-sensitive, DuckDB's are not.
        names = {name.lower() for name in self.columns}
        if len(names) < len(self.columns):
            raise ValueError("two columns differ by case only")
        if reserved := names & _RESERVED_COLUMNS:
            raise ValueError(f"Azure keeps these column names for itself: {', '.join(sorted(reserved))}")
        return self


class Rule(BaseModel):
    """A data collection rule (by its immutable id) and the workspace that it feeds."""

    model_config = ConfigDict(extra="forbid")

    rule_id: Annotated[str, Field(pattern=r"^dcr-[0-9a-f]{32}$")]
    workspace_id: UUID
    streams: Annotated[dict[StreamName, Stream], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_a_table_for_each_stream(self) -> Self:
        tables = {stream.table.lower() for stream in self.streams.values()}
        if len(tables) < len(self.streams):
            raise ValueError("two streams go to the same table")
        return self
