"""What each recogniser takes for personal data of its kind, and what it leaves alone."""

import pytest
from pydantic import ValidationError

from guardrails.check import check
from guardrails.detector import CATEGORIES, RECOGNISERS, detect
from guardrails.kinds.money import IBAN_LENGTHS, crypto_address, payment_card
from guardrails.kinds.national import VAT, dea_number, nhs_number, vat_number
from guardrails.kinds.phones import REGIONS, find_phones
from guardrails.policy import PII_CATEGORIES, Policy, strictest
from guardrails.reading import WINDOW

THRESHOLD = 0.4


def found(category: str, text: str) -> list[str]:
    """What is found of the category with the default threshold, without what is part of another thing found."""
    places = {(one.start, one.end) for one in detect(text, frozenset({category}), THRESHOLD)}
    inner = {one for one in places for other in places if one != other and other[0] <= one[0] and one[1] <= other[1]}
    return [text[start:end] for start, end in sorted(places - inner)]


FOUND = [
    ("CREDIT_CARD", "pay with 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "card 4222222222222", "4222222222222"),  # 13 digits
    ("CREDIT_CARD", "378282246310005", "378282246310005"),  # 15
    ("CREDIT_CARD", "30569309025904", "30569309025904"),  # 14
    ("CREDIT_CARD", "my card: 6304000000000000000?", None),  # right length, wrong check digit, but called a card
    ("CREDIT_CARD", "2223-0031-2200-3222", "2223-0031-2200-3222"),
    ("CREDIT_CARD", "501800000009", "501800000009"),  # 12
    ("CREDIT_CARD", "6212345678901232 or 3530111333300000", "6212345678901232|3530111333300000"),
    ("CREDIT_CARD", "order 4111111111111112", ""),
    ("CREDIT_CARD", "0.4111111111111111", ""),
    ("CREDIT_CARD", "id 41111111111111111111111", ""),
    ("IBAN_CODE", "to GB82 WEST 1234 5698 7654 32.", "GB82 WEST 1234 5698 7654 32"),
    ("IBAN_CODE", "de89370400440532013000", "de89370400440532013000"),
    ("IBAN_CODE", "NO9386011117947 and NL91-ABNA-0417-1643-00", "NO9386011117947|NL91-ABNA-0417-1643-00"),
    ("IBAN_CODE", "my IBAN is GB82WEST12345698765431", "GB82WEST12345698765431"),  # mistyped, but named
    ("IBAN_CODE", "part GB82WEST12345698765431", ""),
    ("IBAN_CODE", "ZZ82WEST12345698765432", ""),
    ("EMAIL_ADDRESS", "a.b+c@d-e.example, x@y", "a.b+c@d-e.example"),
    ("EMAIL_ADDRESS", "react@18.2.0", ""),
    ("PHONE_NUMBER", "ring 020 7946 0958 or (0)30 901820", "020 7946 0958|(0)30 901820"),
    ("PHONE_NUMBER", "+33 1 23 45 67 89", "+33 1 23 45 67 89"),
    ("PHONE_NUMBER", "0033 1 23 45 67 89", "0033 1 23 45 67 89"),
    ("PHONE_NUMBER", "06 12 34 56 78 / 0171-1234567", "06 12 34 56 78|0171-1234567"),
    ("PHONE_NUMBER", "202-555-0143 x12, 202.555.0143", "202-555-0143 x12|202.555.0143"),
    ("PHONE_NUMBER", "my mobile is 5550100", "5550100"),
    ("PHONE_NUMBER", "07700900123", "07700900123"),
    ("PHONE_NUMBER", "order 5550100 of 12.03.2024, 2024-03-12 at 10:20:30", ""),
    ("PHONE_NUMBER", "10.20.30.40 and 1 234 567 and 3.14159265 and 1,000,000", ""),
    ("PHONE_NUMBER", "version 1.2.3, 1990-2000, $1234567, 45.5%", ""),
    ("PHONE_NUMBER", "ssn 123-45-6789", ""),
    ("UK_NHS", "943 476 5919", "943 476 5919"),
    ("UK_NHS", "NHS no. 9434765919", "9434765919"),
    ("UK_NHS", "NHS no. 9434765918, 000 000 0000", ""),
    ("UK_NINO", "AB123456C, ab 12 34 56 c", "AB123456C|ab 12 34 56 c"),
    ("UK_NINO", "BG123456C QQ123456C AB123456E AB1234567C", ""),
    ("UK_BANK_ACCOUNT", "sort code 20-00-00, account 55779911", "20-00-00, account 55779911"),
    ("UK_BANK_ACCOUNT", "Sort code: 200000", "200000"),
    ("UK_BANK_ACCOUNT", "account number: 55779911", "55779911"),
    ("UK_BANK_ACCOUNT", "on 20-00-00 there were 55779911 of them", ""),
    ("UK_POSTCODE", "SW1A 1AA, m1 1ae, EC1A 1BB", "SW1A 1AA|m1 1ae|EC1A 1BB"),
    ("UK_POSTCODE", "post code SW1A1AA", "SW1A1AA"),
    ("UK_POSTCODE", "Q1 2ND, A1 1AI, part AB123", ""),
    ("UK_PASSPORT", "British passport 123456789", "123456789"),
    ("UK_PASSPORT", "parcel 123456789", ""),
    ("UK_DRIVING_LICENCE", "MORGA657054SM9IJ", "MORGA657054SM9IJ"),
    ("UK_DRIVING_LICENCE", "FO999 512238 NC9AB", "FO999 512238 NC9AB"),
    ("UK_DRIVING_LICENCE", "MORGA697054SM9IJ MORGA657994SM9IJ", ""),  # no such month, no such day
    ("US_SSN", "078-05-1120", "078-05-1120"),
    ("US_SSN", "SSN 078051120", "078051120"),
    ("US_SSN", "000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000", ""),
    ("US_SSN", "part 078051120", ""),
    ("US_ITIN", "912-78-1234", "912-78-1234"),
    ("US_ITIN", "912-12-1234", ""),
    ("US_PASSPORT", "passport A12345678", "A12345678"),
    ("US_PASSPORT", "part A12345678", ""),
    ("US_DRIVER_LICENSE", "my driver's license is D1234567", "D1234567"),
    ("US_DRIVER_LICENSE", "driving licence S123-456-789-012", "S123-456-789-012"),
    ("US_DRIVER_LICENSE", "licence key D1234567, part 12345678", ""),
    ("US_BANK_NUMBER", "checking account 123456789012", "123456789012"),
    ("US_BANK_NUMBER", "part 123456789012", ""),
    ("MEDICAL_LICENSE", "DEA AB1234563", "AB1234563"),
    ("MEDICAL_LICENSE", "AB1234567", ""),
    ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("CRYPTO", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("CRYPTO", "0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", ""),
    ("EU_VAT", "VAT DE136695976, GB980780684", "DE136695976|GB980780684"),
    ("EU_VAT", "FR 40 303 265 045", "FR 40 303 265 045"),
    ("EU_VAT", "DE136695977", ""),
    ("IP_ADDRESS", "10.20.30.40, 192.168.0.0/16", "10.20.30.40|192.168.0.0/16"),
    ("IP_ADDRESS", "2001:db8::1, ::1, fe80::1%eth0", "2001:db8::1|::1|fe80::1"),
    ("IP_ADDRESS", "256.1.1.1 1.2.3.4.5 10:20:30 std::dead a::b", ""),
    ("MAC_ADDRESS", "00:1A:2b:3C:4d:5E, 001a.2b3c.4d5e", "00:1A:2b:3C:4d:5E|001a.2b3c.4d5e"),
    ("UUID", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
    ("URL", "see https://a.example/b?c=d, www.x.org/y.", "https://a.example/b?c=d|www.x.org/y"),
    ("URL", "react.js, e.g. this, joe@x.org", ""),
    ("STREET_ADDRESS", "P.O. Box 123", "P.O. Box 123"),
    ("DATE_TIME", "2024-03-12, 12/03/2024, 12 March 2024, March 12, 2024, 10:30", None),
    ("DATE_TIME", "2024-33-12 and 99/99/2024", ""),
]


@pytest.mark.claim("G2")
@pytest.mark.parametrize(("category", "text", "expected"), FOUND)
def test_when_a_text_has_something_of_a_kind_then_it_is_found_and_its_likes_are_not(
    category: str, text: str, expected: str | None
) -> None:
    things = found(category, text)
    assert things if expected is None else things == [thing for thing in expected.split("|") if thing]


def test_when_a_policy_can_name_a_category_then_there_is_a_recogniser_for_it() -> None:
    assert CATEGORIES == PII_CATEGORIES


@pytest.mark.parametrize("country", sorted(IBAN_LENGTHS))
def test_when_an_iban_has_its_countrys_length_then_it_is_found_and_one_digit_more_or_less_is_not(country: str) -> None:
    body = "1" * (IBAN_LENGTHS[country] - 4)
    check = 98 - int("".join(str(int(character, 36)) for character in body + country + "00")) % 97
    iban = f"{country}{check:02}{body}"
    assert found("IBAN_CODE", f"to {iban}.") == [iban]
    assert found("IBAN_CODE", f"to {iban}1.") == found("IBAN_CODE", f"to {iban[:-1]}.") == []


@pytest.mark.parametrize(
    "number",
    [
        "BE0428759497", "DE136695976", "DK13585628", "EE100931558", "FI20774740", "FR40303265045", "GB980780684",
        "HR33392005961", "HU12892312", "IT00743110157", "LU15027442", "NL004495445B01", "PL8567346215", "PT501964843",
        "SE123456789701", "SI50223054", "SK2022749619",
    ],
)  # fmt: skip
def test_when_a_vat_number_has_another_digit_then_it_is_none(number: str) -> None:
    assert vat_number(number)
    place = 2 if number[:2] in ("FR",) else len(number) - 1 if number[:2] not in ("NL", "SE") else 6
    wrong = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
    assert not vat_number(wrong)


def test_when_a_number_has_check_digits_then_one_wrong_digit_is_noticed() -> None:
    for valid, number in ((payment_card, "4111111111111111"), (nhs_number, "9434765919"), (dea_number, "AB1234563")):
        assert valid(number)
        assert not any(valid(number[:-1] + digit) for digit in "0123456789" if digit != number[-1])
    assert not crypto_address("1" * 30)
    assert set(VAT) >= {"GB", "DE", "FR", "IT", "ES", "NL"}


def test_when_phone_regions_are_named_then_each_is_known() -> None:
    assert len(set(REGIONS)) == len(REGIONS)
    assert list(find_phones("no numbers here, 12 or 13"))[:1] == []


@pytest.mark.claim("G2")
async def test_when_a_policy_names_regions_then_their_numbers_are_found_too() -> None:
    text = "Our people in town: 6123 4567."
    asked = Policy(id="p", version=1, phone_regions=["SG"])
    assert (await check(text, Policy(id="p", version=1))).text == text
    assert (await check(text, asked)).text == "Our people in town: <PHONE_NUMBER_1>."
    assert (await check("Our order 6123 4567 is late.", asked)).text == "Our order 6123 4567 is late."
    assert strictest([Policy(id="q", version=1), asked]).phone_regions == ["SG"]


def test_when_a_policy_names_a_region_that_is_none_then_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="no telephone numbers are known of XX"):
        Policy(id="p", version=1, phone_regions=["SG", "XX"])


@pytest.mark.parametrize(
    "unit", ["1 ", "12-", "a1", "A", "1", "0x", "1:", "a.", "@", "+1 ", "f:", "(1)", "1 Aa ", "DE1", "%"]
)
def test_when_a_window_is_junk_then_no_place_lies_outside_it(unit: str) -> None:
    text = (unit * WINDOW)[:WINDOW]
    for recogniser in RECOGNISERS:
        assert all(0 <= one.start < one.end <= len(text) for one in recogniser.find(text))
        assert all(0 < one.confidence <= 1 for one in recogniser.find(text))
