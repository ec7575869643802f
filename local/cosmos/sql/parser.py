"""Tokens into a query: recursive descent, one method a level of precedence.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/select
"""

from collections.abc import Callable
from functools import lru_cache

from local.cosmos.sql.expressions import (
    And,
    Arithmetic,
    ArrayOf,
    Call,
    Equality,
    Exists,
    Expression,
    In,
    Inequality,
    Like,
    Literal,
    Member,
    Name,
    Negative,
    Not,
    ObjectOf,
    Or,
)
from local.cosmos.sql.functions import FUNCTIONS
from local.cosmos.sql.lexer import SqlError, Token, tokens
from local.cosmos.sql.query import AGGREGATES, OrderBy, Query
from local.cosmos.sql.values import UNDEFINED
from local.cosmos.sql.vectors import VectorDistance

_CONSTANTS = {"NULL": None, "TRUE": True, "FALSE": False, "UNDEFINED": UNDEFINED}


@lru_cache(512)
def parse(text: str) -> Query:
    """The query that the text asks for. Raises :class:`SqlError`."""
    return _guarded(text, lambda parser: parser.query())


@lru_cache(512)
def parse_predicate(text: str) -> Query:
    """A patch's condition, ``FROM c WHERE <condition>``, as a query of 1. Raises :class:`SqlError`."""
    query = _guarded(text, lambda parser: parser.predicate())
    if query.parameters:
        raise SqlError("A filter predicate takes no parameters.")
    return query


def _guarded(text: str, rule: "Callable[[_Parser], Query]") -> Query:
    try:
        return rule(_Parser(text))
    except RecursionError as error:
        raise SqlError("The query is nested too deeply.") from error


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._next = 0
        self._names: set[str] = set()
        self._walking: list[str] = []
        """The aliases of the walks that this place is within."""
        self._walked: set[str] = set()
        self._parameters: set[str] = set()
        self._measures = False
        """VectorDistance may stand in this place."""
        self._distances: list[VectorDistance] = []

    # tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _sees(self, *texts: str) -> bool:
        return self._token.kind in ("keyword", "symbol") and self._token.text in texts

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _accept(self, *texts: str) -> str | None:
        return self._take().text if self._sees(*texts) else None

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error(f"'{text}' expected")

    def _error(self, hint: str) -> SqlError:
        near = "a string" if self._token.kind == "string" else f"'{self._token.text}'"
        return SqlError(f"Syntax error, incorrect syntax near {near}: {hint}, or not supported here.")

    def _identifier(self) -> str:
        if self._token.kind == "keyword":
            raise self._error('a reserved word, write c["..."]')
        if self._token.kind != "name":
            raise self._error("name expected")
        return self._take().text

    def _list[T](self, item: Callable[[], T]) -> tuple[T, ...]:
        found = [item()]
        while self._accept(","):
            found.append(item())
        return tuple(found)

    # clauses

    def query(self) -> Query:
        self._expect("SELECT")
        distinct = bool(self._accept("DISTINCT"))
        top = self._count() if self._accept("TOP") else None
        self._measures = True
        aggregate, select = self._selection()
        self._measures = False
        alias = self._source()
        where = self._expression() if self._accept("WHERE") else None
        order_by: tuple[OrderBy, ...] = ()
        if self._accept("ORDER"):
            self._expect("BY")
            self._measures = True
            order_by = self._list(self._order_by)
            self._measures = False
        offset = limit = None
        if self._accept("OFFSET"):
            offset = self._count()
            self._expect("LIMIT")
            limit = self._count()
        self._finish(alias)
        if aggregate and (distinct or order_by or top or offset):
            raise SqlError("An aggregate with DISTINCT, TOP, ORDER BY or OFFSET is not supported by this stand-in.")
        if top and offset:
            raise SqlError("TOP cannot be combined with OFFSET LIMIT.")
        nearest = any(isinstance(key.expression, VectorDistance) for key in order_by)
        if nearest and (len(order_by) > 1 or top is None or distinct):
            raise SqlError("ORDER BY VectorDistance stands alone and needs TOP n; with DISTINCT it is not supported.")
        return Query(
            alias=alias,
            select=select or Name(alias),
            aggregate=aggregate,
            distinct=distinct,
            top=top,
            where=where,
            order_by=order_by,
            offset=offset,
            limit=limit,
            distances=tuple(self._distances),
            parameters=frozenset(self._parameters),
        )

    def predicate(self) -> Query:
        alias = self._source()
        self._expect("WHERE")
        where = self._expression()
        self._finish(alias)
        if self._walked:
            raise SqlError("A subquery in a filter predicate is not supported by this stand-in.")
        return Query(alias=alias, select=Literal(1), where=where, parameters=frozenset(self._parameters))

    def _finish(self, alias: str) -> None:
        if self._token.kind != "end":
            raise self._error("end of query expected")
        if alias in self._walked:
            raise SqlError(f"The alias '{alias}' is used twice.")
        for name in self._names - {alias}:
            raise SqlError(f"Identifier '{name}' could not be resolved.")

    def _selection(self) -> tuple[str | None, Expression | None]:
        """The aggregate, if it is one, and what it aggregates or what is selected; None for ``*``."""
        if self._accept("*"):
            return None, None
        if not self._accept("VALUE"):
            return None, self._projection()
        if self._token.kind == "name" and self._token.text.upper() in AGGREGATES:
            function = self._take().text.upper()
            self._expect("(")
            argument = self._expression()
            self._expect(")")
            return function, argument
        return None, self._expression()

    def _projection(self) -> ObjectOf:
        properties: dict[str, Expression] = {}
        for position, (name, expression) in enumerate(self._list(self._projected), start=1):
            unique = name or f"${position}"
            if unique in properties:
                raise SqlError(f"The name '{unique}' is selected twice; use AS.")
            properties[unique] = expression
        return ObjectOf(tuple(properties.items()))

    def _projected(self) -> tuple[str | None, Expression]:
        expression = self._expression()
        if self._accept("AS"):
            return self._identifier(), expression
        if isinstance(expression, Name):
            return expression.name.removeprefix("@"), expression
        path = expression.path() if isinstance(expression, Member) else None
        return (path[-1] if path else None), expression

    def _source(self) -> str:
        self._expect("FROM")
        container = self._identifier()
        if self._accept("AS") or self._token.kind == "name":
            return self._identifier()
        return container

    def _order_by(self) -> OrderBy:
        expression = self._expression()
        if isinstance(expression, VectorDistance):
            if self._sees("ASC", "DESC"):
                raise SqlError("ORDER BY VectorDistance takes no direction: the nearest come first.")
            return OrderBy(expression, "", descending=True)
        path = expression.path() if isinstance(expression, Member) else None
        if path is None:
            raise SqlError(
                "Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a document path."
            )
        descending = self._accept("ASC", "DESC") == "DESC"
        return OrderBy(expression, "/" + "/".join(path), descending)

    def _count(self) -> Expression:
        if self._token.kind not in ("number", "parameter"):
            raise self._error("number or parameter expected")
        return self._primary()

    # expressions, from the loosest binding to the tightest

    def _expression(self) -> Expression:
        left = self._conjunction()
        while self._accept("OR"):
            left = Or(left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._accept("AND"):
            left = And(left, self._negation())
        return left

    def _negation(self) -> Expression:
        return Not(self._negation()) if self._accept("NOT") else self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        while True:
            if symbol := self._accept("=", "!="):
                left = Equality(left, self._sum(), negated=symbol == "!=")
            elif symbol := self._accept("<", "<=", ">", ">="):
                left = Inequality(symbol, left, self._sum())
            elif self._accept("NOT"):
                left = Not(self._membership(left))
            elif self._sees("IN", "BETWEEN", "LIKE"):
                left = self._membership(left)
            else:
                return left

    def _membership(self, value: Expression) -> Expression:
        match self._accept("IN", "BETWEEN", "LIKE"):
            case "IN":
                self._expect("(")
                candidates = self._list(self._expression)
                self._expect(")")
                return In(value, candidates)
            case "BETWEEN":
                low = self._sum()
                self._expect("AND")
                return And(Inequality(">=", value, low), Inequality("<=", value, self._sum()))
            case "LIKE":
                return Like(value, self._sum())
            case _:
                raise self._error("IN, BETWEEN or LIKE expected")

    def _sum(self) -> Expression:
        left = self._product()
        while symbol := self._accept("+", "-"):
            left = Arithmetic(symbol, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while symbol := self._accept("*", "/", "%"):
            left = Arithmetic(symbol, left, self._signed())
        return left

    def _signed(self) -> Expression:
        return Negative(self._signed()) if self._accept("-") else self._member()

    def _member(self) -> Expression:
        base = self._primary()
        while True:
            if self._accept("."):
                base = Member(base, Literal(self._identifier()))
            elif self._accept("["):
                base = Member(base, self._expression())
                self._expect("]")
            else:
                return base

    def _primary(self) -> Expression:
        match self._token.kind:
            case "number" | "string":
                return Literal(self._take().value)
            case "parameter":
                name = self._take().text
                self._parameters.add(name)
                return Name(name)
            case "name":
                return self._name_or_call()
            case "keyword" if self._token.text in _CONSTANTS:
                return Literal(_CONSTANTS[self._take().text])
            case "keyword" if self._accept("EXISTS"):
                return self._exists()
            case "symbol":
                return self._bracketed()
            case _:
                raise self._error("expression expected")

    def _name_or_call(self) -> Expression:
        name = self._take().text
        if not self._accept("("):
            self._names.add(name)
            return Name(name)
        if name.upper() == "VECTORDISTANCE" and self._measures:
            return self._distance()
        function = FUNCTIONS.get(name.upper())
        if function is None:
            raise SqlError(f"'{name}' is not a built-in function that this stand-in supports in this place.")
        arguments = self._list(self._expression)
        self._expect(")")
        if not function.least <= len(arguments) <= function.most:
            raise SqlError(f"The {name.upper()} function has the wrong number of arguments.")
        return Call(function.body, arguments)

    def _distance(self) -> VectorDistance:
        """Of two arguments: brute force or not is the same here, and the function is the container's."""
        member = self._expression()
        if not isinstance(member, Member) or member.path() is None:
            raise SqlError("VectorDistance of anything but a path of property names is not supported by this stand-in.")
        self._expect(",")
        around, self._names = self._names, set()
        about = self._expression()
        if self._names:
            raise SqlError("VectorDistance of two properties is not supported by this stand-in.")
        self._names = around
        self._expect(")")
        distance = VectorDistance(member, about)
        self._distances.append(distance)
        return distance

    def _exists(self) -> Exists:
        """Of the subqueries, only a walk over one array of the row (or of a walk around this one)."""
        for expected in ("(", "SELECT", "VALUE"):
            self._expect(expected)
        selected = self._identifier()
        self._expect("FROM")
        alias = self._identifier()
        if selected != alias:
            raise SqlError("EXISTS of anything but the element itself is not supported by this stand-in.")
        if alias in self._walking:
            raise SqlError(f"The alias '{alias}' is used twice.")
        self._expect("IN")
        array = self._member() if self._token.kind == "name" else None
        if not isinstance(array, Member) or array.path() is None:
            raise SqlError("EXISTS over anything but a path of property names is not supported by this stand-in.")
        around, self._names = self._names, set()
        self._walking.append(alias)
        where = self._expression() if self._accept("WHERE") else None
        self._expect(")")
        self._walking.pop()
        self._walked.add(alias)
        self._names = around | (self._names - {alias})
        return Exists(alias, array, where)

    def _bracketed(self) -> Expression:
        match self._accept("(", "[", "{"):
            case "(":
                inner = self._expression()
                self._expect(")")
                return inner
            case "[":
                elements = () if self._sees("]") else self._list(self._expression)
                self._expect("]")
                return ArrayOf(elements)
            case "{":
                properties = () if self._sees("}") else self._list(self._property)
                self._expect("}")
                return ObjectOf(properties)
            case _:
                raise self._error("expression expected")

    def _property(self) -> tuple[str, Expression]:
        name = str(self._take().value) if self._token.kind == "string" else self._identifier()
        self._expect(":")
        return name, self._expression()
