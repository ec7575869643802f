"""The query language of the Cosmos DB stand-in: what Microsoft's pages say of it, as tables and properties."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.cosmos.sql import Document, Position, SqlError, parse, parse_predicate
from local.cosmos.sql.values import UNDEFINED, canonical, equal, sort_key

ROW = {
    "id": "a",
    "n": 5,
    "price": 2.5,
    "name": "Ada O'Neil",
    "tags": ["red", "green"],
    "people": [{"name": "Ada", "age": 30}, {"name": "Bob", "age": 40}],
    "address": {"city": "Bern", "zip": "3000"},
    "yes": True,
    "no": False,
    "nothing": None,
}


def run(text: str, documents: list[dict[str, Any]], **parameters: Any) -> list[Any]:
    numbered = [Document(number, body) for number, body in enumerate(documents)]
    named = {f"@{name}": value for name, value in parameters.items()}
    return [value for value, _ in parse(text).run(numbered, named)]


def evaluate(expression: str, **parameters: Any) -> Any:
    """The expression's value for ``ROW``: UNDEFINED if the query yields no row."""
    values = run(f"SELECT VALUE {expression} FROM c", [ROW], **parameters)  # noqa: S608
    return values[0] if values else UNDEFINED


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("c.n", 5),
        ('c["n"]', 5),
        ("c.address.city", "Bern"),
        ("c.tags[1]", "green"),
        ("c.tags[2]", UNDEFINED),
        ("c.missing", UNDEFINED),
        ("c.missing.more", UNDEFINED),
        ("c.n.more", UNDEFINED),
        ("c.nothing", None),
        ("{'n': c.n, missing: c.missing}", {"n": 5}),
        ("[c.n, c.missing, 'x']", [5, "x"]),
        ("{}", {}),
        ("[]", []),
        # arithmetic
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("-c.n + 1", -4),
        ("6 / 3", 2),
        ("7 / 2", 3.5),
        ("7 % 3", 1),
        ("-7 % 3", -1),
        ("1 / 0", UNDEFINED),
        ("1 % 0", UNDEFINED),
        ("c.n + c.name", UNDEFINED),
        ("c.n + c.missing", UNDEFINED),
        ("true + 1", UNDEFINED),
        # equality: of different types false, with undefined undefined
        ("c.n = 5.0", True),
        ("c.n != 5", False),
        ("c.n <> 6", True),
        ("c.n = '5'", False),
        ("c.n != '5'", True),
        ("true = 1", False),
        ("c.nothing = null", True),
        ("c.missing = 5", UNDEFINED),
        ("c.missing != 5", UNDEFINED),
        ("c.missing = null", UNDEFINED),
        ("c.address = {'zip': '3000', 'city': 'Bern'}", True),
        ("c.address = {'city': 'Bern'}", False),
        ("c.tags = ['red', 'green']", True),
        ("c.tags = ['green', 'red']", False),
        # order
        ("c.n < 6", True),
        ("c.n >= 5", True),
        ("'a' < 'b'", True),
        ("false < true", True),
        ("null <= null", True),
        ("null < null", False),
        ("c.n < '6'", UNDEFINED),
        ("c.tags < ['z']", UNDEFINED),
        ("c.missing < 1", UNDEFINED),
        ("c.n BETWEEN 5 AND 6", True),
        ("c.n NOT BETWEEN 5 AND 6", False),
        ("c.n BETWEEN 6 AND 7 OR c.yes", True),
        # logic of three values
        ("c.yes AND c.no", False),
        ("c.yes AND c.missing", UNDEFINED),
        ("c.no AND c.missing", False),
        ("c.missing AND c.no", False),
        ("c.yes OR c.missing", True),
        ("c.missing OR c.yes", True),
        ("c.no OR c.missing", UNDEFINED),
        ("NOT c.no", True),
        ("NOT c.missing", UNDEFINED),
        ("NOT c.n", UNDEFINED),
        ("NOT c.n = 5", False),
        ("c.no OR c.yes AND c.yes", True),
        ("c.yes OR c.yes AND c.no", True),
        # membership
        ("c.n IN (1, 5)", True),
        ("c.n IN ('5')", False),
        ("c.n NOT IN (1, 5)", False),
        ("c.n NOT IN (1, 2)", True),
        ("c.missing IN (1)", UNDEFINED),
        ("c.name LIKE 'Ada%'", True),
        ("c.name LIKE 'ada%'", False),
        ("c.name LIKE '%O_N%'", True),
        ("c.name LIKE 'Ada'", False),
        ("c.name NOT LIKE 'Bob%'", True),
        ("c.n LIKE '5'", UNDEFINED),
        ("'a.c' LIKE 'a.c'", True),
        ("'abc' LIKE 'a.c'", False),
        # functions
        ("IS_DEFINED(c.nothing)", True),
        ("IS_DEFINED(c.missing)", False),
        ("IS_NULL(c.nothing)", True),
        ("IS_NULL(c.missing)", False),
        ("is_null(c.n)", False),
        ("STARTSWITH(c.name, 'Ada')", True),
        ("STARTSWITH(c.name, 'ada')", False),
        ("STARTSWITH(c.name, 'ada', true)", True),
        ("ENDSWITH(c.name, 'Neil')", True),
        ('CONTAINS(c.name, "O\'N")', True),
        ("CONTAINS(c.name, 'o\\'n', true)", True),
        ("CONTAINS(c.n, '5')", UNDEFINED),
        ("LOWER(c.name)", "ada o'neil"),
        ("UPPER(c.name)", "ADA O'NEIL"),
        ("LOWER(c.n)", UNDEFINED),
        ("ARRAY_LENGTH(c.tags)", 2),
        ("ARRAY_LENGTH(c.name)", UNDEFINED),
        ("ARRAY_CONTAINS(c.tags, 'red')", True),
        ("ARRAY_CONTAINS(c.tags, 'blue')", False),
        ("ARRAY_CONTAINS(c.tags, c.missing)", False),
        ("ARRAY_CONTAINS(c.missing, 'red')", UNDEFINED),
        ("ARRAY_CONTAINS(c.people, {'name': 'Ada'})", False),
        ("ARRAY_CONTAINS(c.people, {'name': 'Ada'}, true)", True),
        ('ARRAY_CONTAINS([5], c["n"])', True),
        # the walk of an array
        ("EXISTS(SELECT VALUE t FROM t IN c.tags)", True),
        ("EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'green')", True),
        ("EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'blue')", False),
        ("exists (select value p from p in c.people where p.age > 30 and p.name = 'Bob')", True),
        ("EXISTS(SELECT VALUE p FROM p IN c.people WHERE p.age > 30 AND p.name = 'Ada')", False),
        ("EXISTS(SELECT VALUE p FROM p IN c.people WHERE p.missing = 1)", False),
        ("EXISTS(SELECT VALUE p FROM p IN c.people WHERE p.age)", False),
        ("EXISTS(SELECT VALUE p FROM p IN c.people WHERE p.age < c.n * 7)", True),
        ("EXISTS(SELECT VALUE t FROM t IN c.missing.more)", False),
        ("EXISTS(SELECT VALUE t FROM t IN c.name)", False),
        ("EXISTS(SELECT VALUE t FROM t IN c.nothing)", False),
        ("EXISTS(SELECT VALUE t FROM t IN c.address)", False),
        ('EXISTS(SELECT VALUE t FROM t IN c["tags"])', True),
        ("NOT EXISTS(SELECT VALUE t FROM t IN c.missing)", True),
        (
            "EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'red')"
            " AND EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'green')",
            True,
        ),
        (
            "EXISTS(SELECT VALUE p FROM p IN c.people WHERE EXISTS("
            "SELECT VALUE t FROM t IN c.tags WHERE t = 'red' AND p.name = 'Bob'))",
            True,
        ),
    ],
)
def test_when_an_expression_is_evaluated_then_it_is_as_documented(expression: str, expected: Any) -> None:
    value = evaluate(expression)

    assert value is expected or (value == expected and type(value) is type(expected))


def test_when_a_query_has_parameters_then_they_stand_for_their_values() -> None:
    assert evaluate("c.n = @n AND c.name != @name AND ARRAY_CONTAINS(@tags, 'x')", n=5, name="x", tags=["x"]) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM c WHERE c.n > 2", [{"id": "c", "n": 3, "k": "x"}]),
        ("select c.id, c.n as number from c where c.n = 1", [{"id": "a", "number": 1}]),
        ("SELECT c.id, c.missing, c.n + 1 FROM c WHERE c.n = 1", [{"id": "a", "$3": 2}]),
        ("SELECT r.id FROM root AS r WHERE r.n = 1 -- the first", [{"id": "a"}]),
        ("SELECT c FROM c WHERE c.n = 1", [{"c": {"id": "a", "n": 1, "k": "y"}}]),
        ("SELECT @p FROM c WHERE c.n = 1", [{"p": 7}]),
        ("SELECT VALUE c.missing FROM c", []),
        ("SELECT VALUE c.id FROM c ORDER BY c.k", ["b", "c", "a"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.k DESC", ["a", "b", "c"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.k ASC, c.n DESC", ["d", "c", "b", "a"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.n", ["a", "b", "c"]),
        ("SELECT TOP 1 VALUE c.id FROM c ORDER BY c.n DESC", ["c"]),
        ("SELECT TOP @p VALUE c.id FROM c", ["a", "b", "c", "d"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", ["b", "c"]),
        ("SELECT VALUE c.id FROM c OFFSET 3 LIMIT 5", ["d"]),
        ("SELECT DISTINCT VALUE c.k FROM c", ["y", "x"]),
        ("SELECT DISTINCT TOP 1 VALUE c.k FROM c", ["y"]),
        ("SELECT VALUE COUNT(1) FROM c", [4]),
        ("SELECT VALUE COUNT(c.n) FROM c", [3]),
        ("SELECT VALUE SUM(c.n) FROM c", [6]),
        ("SELECT VALUE AVG(c.n) FROM c", [2.0]),
        ("SELECT VALUE MIN(c.n) FROM c", [1]),
        ("SELECT VALUE MAX(c.n * 2) FROM c WHERE c.k = 'x'", [6]),
        ("SELECT VALUE SUM(c.k) FROM c", []),
        ("SELECT VALUE COUNT(1) FROM c WHERE false", [0]),
        ("SELECT VALUE MAX(c.n) FROM c WHERE false", []),
    ],
)
def test_when_a_query_runs_then_its_rows_are_as_documented(text: str, expected: list[Any]) -> None:
    documents: list[dict[str, Any]] = [
        {"id": "a", "n": 1, "k": "y"},
        {"id": "b", "n": 2, "k": "x"},
        {"id": "c", "n": 3, "k": "x"},
        {"id": "d"},
    ]

    assert run(text, documents, p=7) == expected


def test_when_values_of_all_types_are_sorted_then_types_come_in_their_order() -> None:
    values: list[Any] = [{"a": 1}, [1], "b", "a", 2, -1.5, True, False, None]

    assert run("SELECT VALUE c.v FROM c ORDER BY c.v", [{"v": value} for value in values]) == values[::-1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'SELECT' expected"),
        ("SELECT * FROM", "name expected"),
        ("SELECT *", "'FROM' expected"),
        ("SELECT * FROM c WHERE", "expression expected"),
        ("SELECT * FROM c WHERE c.a =", "expression expected"),
        ("SELECT * FROM c WHERE (c.a", "')' expected"),
        ("SELECT * FROM c trailing words", "end of query expected"),
        ("SELECT * FROM c WHERE c.a == 1", "expression expected"),
        ("SELECT * FROM c WHERE d.a = 1", "Identifier 'd' could not be resolved"),
        ("SELECT c.value FROM c", "reserved word"),
        ("SELECT c.a AS order FROM c", "reserved word"),
        ("SELECT c.a, c.b AS a FROM c", "selected twice"),
        ("SELECT * FROM c JOIN t IN c.tags", "near 'JOIN'"),
        ("SELECT c.k FROM c GROUP BY c.k", "near 'GROUP'"),
        ("SELECT VALUE (SELECT VALUE 1 FROM c) FROM c", "near 'SELECT'"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE 1 FROM t IN c.a)", "near '1'"),
        ("SELECT * FROM c WHERE EXISTS(SELECT t FROM t IN c.a)", "'VALUE' expected"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t.x FROM t IN c.a)", "'FROM' expected"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE c FROM t IN c.a)", "anything but the element"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t)", "'IN' expected"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN @a)", "anything but a path"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c)", "anything but a path"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a[0])", "anything but a path"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN LOWER(c.a).b)", "anything but a path"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN t.a)", "Identifier 't' could not be resolved"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a) AND t = 1", "Identifier 't' could not"),
        ("SELECT * FROM c WHERE t = 1 OR EXISTS(SELECT VALUE t FROM t IN c.a)", "Identifier 't' could not"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a WHERE d = t)", "Identifier 'd' could not"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE c FROM c IN c.a)", "'c' is used twice"),
        (
            "SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a WHERE EXISTS(SELECT VALUE t FROM t IN t.b))",
            "'t' is used twice",
        ),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a JOIN u IN t.b)", "near 'JOIN'"),
        ("SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a ORDER BY t)", "near 'ORDER'"),
        ("SELECT * FROM c IN c.tags", "near 'IN'"),
        ("SELECT COUNT(1) AS n FROM c", "'COUNT' is not a built-in function"),
        ("SELECT VALUE {'n': COUNT(1)} FROM c", "'COUNT' is not a built-in function"),
        ("SELECT VALUE SUM(c.a) + 1 FROM c", "near '+'"),
        ("SELECT VALUE COUNT(1) FROM c ORDER BY c.a", "An aggregate with"),
        ("SELECT TOP 1 VALUE COUNT(1) FROM c", "An aggregate with"),
        ("SELECT * FROM c WHERE VectorDistance(c.v, [1]) > 0", "not a built-in function"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v, [1]) DESC", "takes no direction"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v, [1]) ASC", "takes no direction"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v, [1]), c.a", "stands alone and needs TOP"),
        ("SELECT TOP 1 * FROM c ORDER BY c.a, VectorDistance(c.v, [1])", "stands alone and needs TOP"),
        ("SELECT * FROM c ORDER BY VectorDistance(c.v, [1])", "stands alone and needs TOP"),
        ("SELECT * FROM c ORDER BY VectorDistance(c.v, [1]) OFFSET 0 LIMIT 1", "stands alone and needs TOP"),
        ("SELECT DISTINCT TOP 1 * FROM c ORDER BY VectorDistance(c.v, [1])", "with DISTINCT it is not supported"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance([1], c.v)", "anything but a path"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v[0], [1])", "anything but a path"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v, c.w)", "of two properties"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v, [1], true)", "')' expected"),
        ("SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.v)", "',' expected"),
        ("SELECT * FROM c WHERE udf.f(c)", "near 'UDF'"),
        ("SELECT * FROM c WHERE LOWER(c.a, c.b) = 1", "wrong number of arguments"),
        ("SELECT * FROM c WHERE c.a ?? 1", "unsupported operator '?'"),
        ("SELECT * FROM c WHERE c.a LIKE 'x' ESCAPE '!'", "near 'ESCAPE'"),
        ("SELECT * FROM c ORDER BY c.a + 1", "Unsupported ORDER BY clause"),
        ("SELECT * FROM c ORDER BY LOWER(c.a)", "Unsupported ORDER BY clause"),
        ("SELECT TOP c.n * FROM c", "number or parameter expected"),
        ("SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1", "TOP cannot be combined"),
        ("SELECT * FROM c WHERE c.a = 'open", "invalid token"),
        ("SELECT * FROM c WHERE c.a = '\\q'", "invalid escape sequence"),
        ("SELECT * FROM c WHERE " + "(" * 5000 + "1", "nested too deeply"),
    ],
)
def test_when_a_query_is_wrong_or_not_supported_then_it_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SqlError) as refusal:
        parse(text)

    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("SELECT * FROM c WHERE c.a = @a", {}),
        ("SELECT TOP @n * FROM c", {"n": -1}),
        ("SELECT TOP @n * FROM c", {"n": "1"}),
        ("SELECT * FROM c OFFSET 0 LIMIT @n", {"n": 1.5}),
        ("SELECT * FROM c WHERE c.id LIKE @p", {"p": "[a-z]"}),
    ],
)
def test_when_a_parameter_is_missing_or_unsuitable_then_the_query_is_refused(text: str, parameters: Any) -> None:
    with pytest.raises(SqlError):
        run(text, [ROW], **parameters)


def test_when_an_error_is_reported_then_it_does_not_quote_string_literals() -> None:
    with pytest.raises(SqlError) as refusal:
        parse("SELECT * FROM c WHERE c.a 'secret'")

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("predicate", "holds"),
    [
        ('FROM c WHERE c.spent + c.reserved + 30 <= c["limit"]', True),
        ('from c where c.spent + c.reserved + 31 <= c["limit"]', False),
        ("FROM budget b WHERE b.state IN ('open', 'new')", True),
        ("FROM c WHERE c.missing = 1", False),
    ],
)
def test_when_a_predicate_is_checked_then_it_says_whether_the_item_satisfies_it(predicate: str, holds: bool) -> None:
    item = {"spent": 50, "reserved": 20, "limit": 100, "state": "open"}

    assert parse_predicate(predicate).matches(item) is holds


@pytest.mark.parametrize(
    "predicate",
    [
        "c.a = 1",
        "FROM c",
        "WHERE c.a = 1",
        "FROM c WHERE c.a = @a",
        "SELECT * FROM c",
        "FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.a)",
    ],
)
def test_when_a_predicate_is_not_from_and_where_with_literals_then_it_is_refused(predicate: str) -> None:
    with pytest.raises(SqlError):
        parse_predicate(predicate)


# properties

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5).map(lambda x: round(x, 1)) | st.text("ab")
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=2), inner, max_size=3)
)
documents = st.lists(st.fixed_dictionaries({}, optional={"a": values, "b": scalars, "k": st.sampled_from("pq")}))
queries = st.sampled_from(
    [
        "SELECT * FROM c",
        "SELECT VALUE c.a FROM c WHERE NOT c.b = 1",
        "SELECT c.a, c.k FROM c WHERE IS_DEFINED(c.b)",
        "SELECT TOP 3 * FROM c",
        "SELECT * FROM c ORDER BY c.a",
        "SELECT TOP 4 VALUE c.b FROM c ORDER BY c.a DESC",
        "SELECT * FROM c ORDER BY c.k DESC, c.a ASC",
        "SELECT * FROM c ORDER BY c.k, c.b DESC",
        "SELECT * FROM c ORDER BY c.b OFFSET 1 LIMIT 5",
        "SELECT DISTINCT VALUE c.k FROM c",
        "SELECT VALUE COUNT(1) FROM c",
    ]
)


@settings(max_examples=100)
@given(
    text=st.text(max_size=40)
    | st.lists(st.sampled_from(["SELECT", "*", "VALUE", "FROM", "c", ".", "(", "=", "@p", "'x'"])).map(" ".join)
)
def test_when_any_text_is_parsed_then_it_is_a_query_or_a_refusal(text: str) -> None:
    with contextlib.suppress(SqlError):
        parse(text)


@given(text=st.text())
def test_when_a_text_is_written_as_a_literal_then_it_is_read_back(text: str) -> None:
    double = json.dumps(text)
    single = "'" + json.dumps(text)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"

    assert evaluate(double) == text
    assert evaluate(single) == text


@given(left=values, right=values)
def test_when_two_values_are_equal_then_they_sort_alike_and_have_one_canonical_text(left: Any, right: Any) -> None:
    alike = equal(left, right)

    assert (canonical(left) == canonical(right)) is alike
    assert (sort_key(left) == sort_key(right)) is alike
    assert equal(left, left)


logic = st.recursive(
    st.sampled_from(["true", "false", "undefined", "null", "1"]),
    lambda inner: (
        st.builds("({} AND {})".format, inner, inner)
        | st.builds("({} OR {})".format, inner, inner)
        | st.builds("(NOT {})".format, inner)
    ),
    max_leaves=6,
)


@given(left=logic, right=logic)
def test_when_a_conjunction_is_negated_then_de_morgans_laws_hold(left: str, right: str) -> None:
    assert evaluate(f"NOT ({left} AND {right})") == evaluate(f"(NOT {left}) OR (NOT {right})")
    assert evaluate(f"NOT ({left} OR {right})") == evaluate(f"(NOT {left}) AND (NOT {right})")


sums = st.recursive(
    st.integers(0, 20).map(str),
    lambda inner: (
        st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*"]), inner)
        | st.builds("({})".format, inner)
        | st.builds("- {}".format, inner)
    ),
    max_leaves=8,
)


@given(expression=sums)
def test_when_numbers_are_calculated_then_precedence_is_that_of_arithmetic(expression: str) -> None:
    assert evaluate(expression) == eval(expression)  # noqa: S307 - digits, signs and brackets, made above


@given(text=queries, bodies=documents, size=st.integers(1, 4))
def test_when_a_query_is_read_in_pages_then_they_add_up_to_the_whole(text: str, bodies: Any, size: int) -> None:
    query = parse(text)
    numbered = [Document(number, body) for number, body in enumerate(bodies)]
    whole = [value for value, _ in query.run(numbered, {})]

    paged: list[Any] = []
    after: Position | None = None
    while True:
        rows = [row for row, _ in zip(query.run(numbered, {}, after), range(size), strict=False)]
        paged += [value for value, _ in rows]
        if len(rows) < size:
            break
        after = rows[-1][1]

    assert paged == whole


@given(
    text=st.sampled_from(["SELECT VALUE c.i FROM c", "SELECT VALUE c.i FROM c ORDER BY c.k, c.b DESC"]),
    bodies=documents,
    data=st.data(),
)
def test_when_items_go_and_come_between_two_pages_then_no_other_is_missed_or_repeated(
    text: str, bodies: Any, data: st.DataObject
) -> None:
    query = parse(text)
    before = [Document(number, {**body, "i": number}) for number, body in enumerate(bodies)]
    first = list(zip(query.run(before, {}), range(2), strict=False))
    after = first[-1][0][1] if first else None
    gone = data.draw(st.sets(st.sampled_from(range(len(bodies))))) if bodies else set()
    come = [Document(len(bodies) + number, {"i": -1, "k": "p"}) for number in range(data.draw(st.integers(0, 2)))]
    remaining = [document for document in before if document.sequence not in gone] + come

    second = [value for value, _ in query.run(remaining, {}, after) if value != -1]

    seen = [value for (value, _), _ in first]
    everything = [value for value, _ in query.run(before, {})]
    assert second == [value for value in everything if value not in seen and value not in gone]
