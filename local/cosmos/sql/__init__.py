"""The query language of Azure Cosmos DB for NoSQL, as far as the product speaks it.

``parse(text)`` makes a :class:`Query`, or raises :class:`SqlError`, which says what is wrong or not supported. Text ->
tokens (``lexer``) -> expressions that evaluate themselves (``parser``, ``expressions``, ``functions``) -> rows
(``query``). Where Microsoft's pages leave a question open, the answer is that of the offline query engine in
Azure/azure-cosmos-dotnet-v3 (``ScalarExpressionEvaluator``): values of different types are unequal, and nothing equals
undefined.

A row binds names to values, so that a JOIN would be one more source of bindings, and a further built-in function is one
more entry in ``functions``.
"""

from local.cosmos.sql.lexer import SqlError
from local.cosmos.sql.parser import parse, parse_predicate
from local.cosmos.sql.query import Document, Position, Query
from local.cosmos.sql.vectors import Vector, vector_of

__all__ = ["Document", "Position", "Query", "SqlError", "Vector", "parse", "parse_predicate", "vector_of"]
