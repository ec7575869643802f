"""What fills the slots of the training sentences."""

import random
import string
from collections.abc import Callable

from faker.providers.lorem.en_US import Provider as Lorem
from wonderwords import RandomWord  # type: ignore[import-untyped]

from scripts import ner_words as words


class Fillers:
    """By the name of the slot, a new thing at each call, as the chances will have it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._names = words.names()
        # Locales in Latin letters, and British and American names, come up more often.
        latin = [key for key, (first, _) in self._names.items() if sum(map(str.isascii, first)) > len(first) / 2]
        self._locales = sorted(self._names) + latin * 4 + ["en_US", "en_GB", "en_IE", "en_NZ"] * 14 + ["extra"] * 12
        self._invented_first = words.invented({key: self._names[key][0] for key in latin})
        self._invented_last = words.invented({key: self._names[key][1] for key in latin})
        self._invented_town = words.invented({"": words.towns()})
        of = RandomWord().filter
        self._nouns = [word for word in of(include_parts_of_speech=["nouns"]) if word.isalpha()] + list(Lorem.word_list)
        self._adjectives = [word for word in of(include_parts_of_speech=["adjectives"]) if word.isalpha()]
        self._verbs = [word for word in of(include_parts_of_speech=["verbs"]) if word.isalpha()]
        self._by_slot = self._slots()

    def fill(self, slot: str) -> str:
        """Something for the slot."""
        return self._by_slot[slot]()

    def word(self) -> str:
        """An ordinary word in one of its forms."""
        draw = self._chance.random()
        if draw < 0.45:
            word = self._chance.choice(words.VOCABULARY)
        else:
            word = self._chance.choice((self._nouns, self._nouns, self._adjectives, self._verbs)[int(draw * 100) % 4])
        return word + self._chance.choices(("", "s", "ing", "ed", "ly", "er"), (76, 10, 4, 4, 3, 3))[0]

    def _slots(self) -> dict[str, Callable[[], str]]:
        chance = self._chance
        one = chance.choice
        fillers: dict[str, Callable[[], str]] = {
            "per": self.person, "first": lambda: self._first(one(self._locales)),
            "last": lambda: self._last(one(self._locales)), "city": self._town, "loc": self._place,
            "country": lambda: one(words.COUNTRIES), "addr": self._address, "street": self._street_and_number,
            "org": self._organisation, "nrp": lambda: one(words.NATIONALITIES), "thing": self._thing,
            "quality": lambda: one(words.QUALITIES if chance.random() < 0.5 else self._adjectives),
            "verb": lambda: one(words.VERBS if chance.random() < 0.5 else self._verbs),
            "title": lambda: one(words.TITLES), "product": lambda: one(words.PRODUCTS), "jobtitle": self._job,
            "month": lambda: one(words.MONTHS[:12]), "day": lambda: one(words.MONTHS[24:31]),
            "year": lambda: str(chance.randint(1900, 2035)), "n": self._number, "date": self._date, "time": self._time,
            "money": self._money, "email": self._email, "phone": lambda: self._digits(one(words.PHONES)),
            "card": lambda: self._digits(one(words.CARDS)), "iban": lambda: self._digits(one(words.IBANS)),
            "ip": lambda: ".".join(str(chance.randint(0, 255)) for _ in range(4)), "url": self._url,
            "id": lambda: self._digits(one(words.IDS)), "zip": self._postcode, "word": self.word,
            "corner": self._corner,
            "acronym": self._acronym,
            "addr_corner": lambda: f"{self._street()[0]} {one(('and', '&'))} {self._street()[0]}",
        }  # fmt: skip
        for slot in ("thing", "quality", "verb", "product", "word"):
            fillers[slot.title()] = lambda make=fillers[slot]: make().title()  # type: ignore[misc]
            fillers[slot.upper()] = lambda make=fillers[slot]: make().upper()  # type: ignore[misc]
        return fillers

    def _first(self, locale: str) -> str:
        if self._chance.random() < 0.1:
            return self._invented_first(self._chance)
        name = self._chance.choice(self._names[locale][0])
        if self._chance.random() < 0.03:
            name += "-" + self._chance.choice(self._names[locale][0])
        return name

    def _last(self, locale: str) -> str:
        draw = self._chance.random()
        if draw < 0.12:
            return self._invented_last(self._chance)
        name = self._chance.choice(self._names[locale][1])
        if draw < 0.16:
            name += "-" + self._chance.choice(self._names[locale][1])
        elif draw < 0.18:
            name = (
                self._chance.choice(("van", "van der", "von", "de", "de la", "di", "del", "dos", "Al", "ben"))
                + " "
                + name
            )
        elif draw < 0.195:
            name = self._chance.choice(("O'", "Mc", "D'", "Mac", "O\u2019", "L'")) + name
        return name

    def person(self) -> str:
        locale = self._chance.choice(self._locales)
        first, last = self._first(locale), self._last(locale)
        draw = self._chance.random()
        if draw < 0.56:
            return f"{first} {last}"
        if draw < 0.66:
            return first
        if draw < 0.7:
            return last
        initial = self._chance.choice(string.ascii_uppercase)
        styles = (
            f"{first} {initial}. {last}",
            f"{first} {initial}. {last}",
            f"{first} {initial} {last}",
            f"{initial}. {last}",
            f"{first} {self._first(locale)} {last}",
            f"{first} {last} {self._last(locale)}",
            f"{initial}.{initial}. {last}",
            f"{first} {self._last(locale)}-{last}",
            f"{last} {first}",
            f"{last}, {first}",
            f"{first} {last} Jr.",
            f"{first} {last} III",
            f"{first} {initial}.",
            f"{first} {self._chance.choice(('de', 'van', 'bin', 'von'))} {last}",
        )
        return self._chance.choice(styles)

    def _town(self) -> str:
        draw = self._chance.random()
        if draw < 0.3:
            return self._chance.choice(words.big_cities())
        if draw < 0.83:
            return self._chance.choice(words.towns())
        name = self._invented_town(self._chance) if draw < 0.93 else self._last(self._chance.choice(self._locales))
        if self._chance.random() < 0.3:
            return f"{self._chance.choice(words.TOWN_FRONTS)} {name}"
        if self._chance.random() < 0.3:
            return f"{name} {self._chance.choice(words.TOWN_ENDS)}"
        return name

    def _place(self) -> str:
        return self._chance.choice(
            (self._town, lambda: self._chance.choice(words.COUNTRIES), lambda: self._chance.choice(words.REGIONS))
        )()

    def _organisation(self) -> str:
        one, draw = self._chance.choice, self._chance.random()
        if draw < 0.25:
            return one(words.COMPANIES)
        if draw < 0.45:
            return one(words.made_by_faker("company"))
        if draw < 0.7:
            return f"{one(words.COMPANY_WORDS)} {one(words.COMPANY_WORDS)} {one(words.COMPANY_ENDS)}"
        if draw < 0.8:
            return f"{one(words.COMPANY_WORDS)}{one(words.COMPANY_WORDS).lower()} {one(words.COMPANY_ENDS)}"
        if draw < 0.85:
            coined = one(words.COMPANY_WORDS) + one(
                (one(words.COMPANY_WORDS), "ify", "ly", "io", "ex", "ia", "ora", "tix", "eo")
            )
            return coined if self._chance.random() < 0.5 else coined.capitalize()
        if draw < 0.88:
            return f"{one((self.word(), one(words.COMPANY_WORDS))).title()} {self.word().title()}"
        if draw < 0.9:
            return f"{self._last(one(self._locales))} {one(words.COMPANY_ENDS)}"
        if draw < 0.93:
            return f"{self._last('en_US')}, {self._last(one(self._locales))} {one(('and', '&'))} {self._last('en_US')}"
        if draw < 0.96:
            return f"{self._last('en_US')} {one(('&', 'and', '+'))} {one((self._last('en_GB'), 'Sons', 'Partners'))}"
        return f"{one(('University', 'Bank', 'City Council', 'Museum', 'Hospital', 'Port'))} of {self._town()}"

    def _thing(self) -> str:
        things: list[str] = words.THINGS if self._chance.random() < 0.5 else self._nouns
        return self._chance.choice(things)

    def _job(self) -> str:
        one, draw = self._chance.choice, self._chance.random()
        if draw < 0.4:
            return one(words.made_by_faker("job"))
        job = f"{one(words.JOB_FRONTS)} {one(words.JOBS)}" if draw < 0.7 else one(words.JOBS)
        return job.lower() if self._chance.random() < 0.4 else job

    def _number(self) -> str:
        return str(self._chance.randint(1, 10 ** self._chance.randint(1, 4)))

    def _digits(self, pattern: str) -> str:
        letters = {"#": string.digits, "%": string.digits[1:], "?": string.ascii_uppercase, "~": string.ascii_lowercase}
        return "".join(self._chance.choice(letters.get(sign, sign)) for sign in pattern)

    def _date(self) -> str:
        day, month, year = self._chance.randint(1, 28), self._chance.randint(1, 12), self._chance.randint(1930, 2035)
        name = self._chance.choice(words.MONTHS[:12])
        return self._chance.choice(
            (
                f"{day}/{month}/{year}",
                f"{year}-{month:02}-{day:02}",
                f"{day}.{month}.{year}",
                f"{day} {name} {year}",
                f"{name} {day}, {year}",
                f"{day} {name}",
                f"the {day}th of {name}",
                f"{name} {day}",
                f"{name} {year}",
            )
        )

    def _time(self) -> str:
        hour, minute = self._chance.randint(0, 23), self._chance.randint(0, 59)
        half = self._chance.choice(("am", "pm", " AM", " PM"))
        return self._chance.choice(
            (f"{hour}:{minute:02}", f"{hour % 12}{half}", f"{hour:02}:{minute:02}:{minute:02}", "noon")
        )

    def _acronym(self) -> str:
        """Or what looks like one: DDoS, APIs, JavaScript."""
        draw = self._chance.random()
        if draw < 0.5:
            return self._digits("?" * self._chance.randint(2, 5))
        if draw < 0.75:
            return self._digits(
                self._chance.choice(("??~?", "???s", "??s", "~??", "?~?", "?~~?", "???#", "??-###", "?/?", "?~??"))
            )
        front, end = self._chance.choice((self.word(), self._chance.choice(words.COMPANY_WORDS))), self.word()
        return self._chance.choice(
            (f"{front.title()}{end.title()}", f"{front}{end.title()}", f"{front.title()}{end.upper()[:3]}")
        )

    def _money(self) -> str:
        amount = f"{self._chance.randint(1, 9999):,}"
        return self._chance.choice((f"${amount}", f"£{amount}.99", f"€{amount}", f"{amount} EUR", f"{amount} dollars"))

    def _email(self) -> str:
        first, last = self._first("en_US"), self._last("en_US")
        local = self._chance.choice(
            (f"{first}.{last}", f"{first}{last}", f"{first[0]}{last}", "info", f"{last}{self._number()}")
        )
        local = local.replace(" ", "") if self._chance.random() < 0.4 else local.replace(" ", "").lower()
        return f"{local}@{self._domain()}"

    def _domain(self) -> str:
        one = self._chance.choice
        name = one(
            (one(words.COMPANY_WORDS) + one(words.COMPANY_WORDS), one(self._nouns), "example", "gmail", "outlook")
        )
        name = name if self._chance.random() < 0.3 else name.lower()
        return f"{name}.{one(('com', 'org', 'net', 'de', 'co.uk', 'io', 'fr', 'eu', 'it', 'ch', 'com.br', 'pl'))}"

    def _url(self) -> str:
        front = self._chance.choice(("https://", "http://", "https://www.", "www.", ""))
        return f"{front}{self._domain()}{self._chance.choice(('', '/', '/' + self._thing(), '/index.html'))}"

    def _postcode(self) -> str:
        draw = self._chance.random()
        if draw < 0.3:
            return self._digits(self._chance.choice(("??# #??", "??## #??", "?# #??", "?#? #??", "??#? #??")))
        if draw < 0.6:
            return self._digits("#####")
        if draw < 0.75:
            return self._chance.choice(words.made_by_faker("postcode"))
        return self._digits(
            self._chance.choice(("####", "#####-####", "### ##", "#### ??", "##-###", "######", "####-###"))
        )

    # Addresses.

    def _street(self) -> tuple[str, bool]:
        """The name of a street, and whether the house number goes before it."""
        one, draw = self._chance.choice, self._chance.random()
        locale = one(self._locales)
        if draw < 0.4:
            stem = one(
                (
                    one(words.STREET_NAMES),
                    self._last("en_US"),
                    self._last(locale),
                    self._first("en_GB"),
                    self._town(),
                    f"{one(words.STREET_NAMES)} {one(words.STREET_NAMES)}",
                    f"{self._chance.randint(1, 120)}th",
                    f"{one(words.COMPANY_WORDS)}",
                    f"{one(('N', 'S', 'E', 'W', 'North', 'Old'))} {self._last('en_GB')}",
                )
            )
            return f"{stem} {one(words.STREET_ENDS)}", True
        if draw < 0.55:
            stem = one(
                (
                    self._last(locale),
                    f"{self._first(locale)} {self._last(locale)}",
                    self._town(),
                    one(self._nouns).title(),
                )
            )
            return f"{one(words.STREET_FRONTS)} {stem}", self._chance.random() < 0.5
        if draw < 0.72:
            stem = one((self._last(locale), self._first(locale), self._town(), self._invented_town(self._chance)))
            join = one(("", "", "", "s", "er ", "-", "-"))
            tail = one(words.STREET_TAILS)
            return stem + join + (tail.title() if join[-1:] in ("-", " ") else tail), self._chance.random() < 0.1
        if draw < 0.8:
            return (
                f"{one((self._last(locale), self._town()))} {one(words.STREET_LAST_WORDS)}",
                self._chance.random() < 0.2,
            )
        if draw < 0.94:
            return one(words.made_by_faker("street_name")), self._chance.random() < 0.4
        # A street may be called anything, and in the country a house may have the name of its place alone.
        return one((self._invented_town(self._chance), self._town(), self._last(locale))), self._chance.random() < 0.2

    def _corner(self) -> str:
        one, house = self._chance.choice, self._chance.random() < 0.5
        streets = (self._street_and_number() if house else self._street()[0]), self._street()[0]
        start = one(
            ("the corner of ", "corner of ", "the junction of ", "the intersection of ", "the crossing of ", "")
        )
        return f"{start}{streets[0]} {one(('and', 'and', '&', 'with'))} {streets[1]}"

    def _house(self) -> str:
        number = str(self._chance.randint(1, 10 ** self._chance.choice((1, 2, 2, 3, 3, 4, 5))))
        return self._chance.choices(
            (
                number,
                number + self._chance.choice("abcABC"),
                f"{number}/{self._chance.randint(1, 40)}",
                f"{number}-{self._chance.randint(1, 99)}",
                f"No. {number}",
                f"{number} {self._digits('%###')}",
                f"0{number}",
            ),
            (80, 6, 4, 3, 2, 4, 4),
        )[0]

    def _street_and_number(self) -> str:
        street, before = self._street()
        draw = self._chance.random()
        if draw < 0.12:
            return street if " " in street else f"{street} {self._house()}"
        if draw < 0.2 and not before:  # a number before and another one after: block and house, or house and flat
            return f"{self._house()} {street} {self._house()}"
        return (
            f"{self._house()} {street}"
            if before
            else f"{street}{self._chance.choice((' ', ' ', ' ', ', '))}{self._house()}"
        )

    def _unit(self) -> str:

        unit = self._chance.choice(words.UNITS)
        return f"{unit} {self._digits(self._chance.choice(('%', '%#', '%##', '###', '?', '%?')))}"

    def _address(self) -> str:
        one, draw = self._chance.choice, self._chance.random()
        if draw < 0.06:
            box = one(
                ("P.O. Box", "PO Box", "Box", "Postfach", "Boîte postale", "Apartado", "Casella postale", "Postboks")
            )
            first = f"{box} {self._digits(one(('%#', '%##', '%###')))}"
        elif draw < 0.09:
            unit = one(("PSC", "Unit", "CMR", "USS {}", "USNS {}", "USCGC {}")).format(self._last("en_US"))
            first = f"{unit} {self._digits('%###')}, Box {self._digits('%###')}" if "US" not in unit else unit
            first += one((", ", "\n"))
            return f"{first}{one(('APO', 'FPO', 'DPO'))} {one(('AA', 'AE', 'AP'))} {self._digits('#####')}"
        else:
            first = self._street_and_number()
        parts = [first]
        if self._chance.random() < 0.3:
            parts.append(self._unit())
            if self._chance.random() < 0.15:
                parts.reverse()
        if self._chance.random() < 0.08:
            parts.append(
                f"{self._last('en_US')} {one(('House', 'Court', 'Building', 'Estate', 'Squares', 'Tower', 'Village'))}"
            )
        if self._chance.random() < 0.62:
            parts += self._town_line()
        return self._written(parts)

    def _town_line(self) -> list[str]:
        """Town, postcode, region and country, in one of their orders."""
        one = self._chance.choice
        town, code = self._town(), self._postcode()
        if self._chance.random() < 0.25:
            town = town.upper()
        state = self._digits("??") if self._chance.random() < 0.7 else one(words.REGIONS)
        country = one(words.COUNTRIES)
        return list(
            one(
                (
                    (town,),
                    (town,),
                    (town, code),
                    (town, code),
                    (f"{town} {code}",),
                    (f"{code} {town}",),
                    (f"{code} {town}",),
                    (f"{town}, {state} {code}",),
                    (f"{town}, {state} {code}",),
                    (town, state, code),
                    (f"{town}\n, {state}\n {code}",),
                    (f"{code} {town}", country),
                    (town, country),
                    (town, f"{country} {code}"),
                    (town, code, country),
                    (town, state),
                    (f"{town} {state}",),
                    (code,),
                    (town, country, code),
                    (f"{town} {one(words.REGIONS)}",),
                )
            )
        )

    def _written(self, parts: list[str]) -> str:
        draw = self._chance.random()
        if draw < 0.5:
            return ", ".join(parts)
        if draw < 0.72:
            return "\n".join(parts)
        if draw < 0.8:
            return "\n ".join(parts)
        if draw < 0.9:
            return " ".join(parts)
        return "".join(part + self._chance.choice((", ", " ", "\n", ",\n", "; ")) for part in parts[:-1]) + parts[-1]
