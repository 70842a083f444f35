"""What texts are compared by: sorted and found in every script, on every server alike."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyuca.collator import Collator_10_0_0

from backend.app.domain import keys

COLLATOR = Collator_10_0_0()
keys.load_collator()


def test_ascii_has_the_collators_weights() -> None:
    """The short way for ASCII gives the keys that the collator would have given."""
    for code in range(128):
        weights = [primary for primary, *_ in COLLATOR.collation_elements(chr(code)) if primary]

        assert keys.title_key(chr(code)) == "".join(map(chr, weights)), code


# Scripts in which several characters make one element; and characters that stand for several, or are ignored.
STRANGE = [*map(chr, [*range(0x900, 0x1000), *range(0x300, 0x320)]), *"aéß\ufdfa\u00ad\u332b\uac01\u4e00\U0001f600"]


@given(st.text(st.sampled_from(STRANGE), min_size=keys.PIECE_CHARACTERS, max_size=300))
def test_a_long_text_has_the_key_of_the_whole(text: str) -> None:
    """Wherever it is cut for the collator."""
    made = keys.title_key(text), keys.description_key(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "PIECE_CHARACTERS", 10_000)
        assert made == (keys.title_key(text), keys.description_key(text))


@pytest.mark.parametrize("character", ["\ufdfa", "\u332b", "\u0301", "\u0390", "\uac01", "\u0e33", "\u0f77"])
def test_no_text_takes_long(character: str) -> None:
    """A character that stands for eighteen, too: a write makes its keys in one step of the event loop."""

    def seconds() -> float:
        begun = time.thread_time()
        keys.description_key(character * 1000)
        return time.thread_time() - begun

    assert min(seconds() for _ in range(3)) < 0.015


# Texts in their order: letters without a decomposition beside their base letters, and each script's usual order.
SORTED = [
    ("ł beside l", ["lama", "łan", "lato", "mama"]),
    ("ø beside o", ["oak", "øl", "oz", "pea"]),
    ("đ beside d", ["dan", "đec", "do", "east"]),
    ("æ as ae", ["aero", "æsop", "after"]),
    ("œ as oe", ["oak", "œuvre", "of"]),
    ("ı after i, before j", ["iz", "ılık", "jam"]),
    ("accents make no difference", ["eclair", "éclairs", "eclat"]),
    ("case makes no difference", ["apple", "Banana", "cherry"]),
    ("ß as ss", ["strasen", "Straße", "straßen", "strast"]),
    ("ё beside е", ["евро", "ёж", "езда"]),
    ("і after и, as Ukrainian has it", ["и", "і", "й", "к"]),
    ("Greek without accents", ["άλφα", "βήτα", "ώρα"]),
    ("Thai: the vowel before a consonant comes after it", ["กา", "เก", "ขา"]),
    ("kana: hiragana and katakana together", ["あ", "イ", "う"]),
    ("digits before letters, punctuation before digits", ["!x", "1x", "ax"]),
    ("Latin before Greek before Cyrillic before Hebrew before Arabic", ["z", "ω", "я", "ת", "ي"]),
    ("symbols before letters, also those that are younger than the table", ["!", "🏠", "🧹", "🫠", "$", "1", "a"]),
    ("a younger symbol before what follows it", ["🧹", "🧹 a", "🧹 b", "🧼", "🪣"]),
    ("full width letters as others", ["ａpple", "Ｂanana", "cherry"]),
]


@pytest.mark.parametrize(("texts"), [texts for _, texts in SORTED], ids=[name for name, _ in SORTED])
def test_titles_sort_as_unicode_has_it(texts: list[str]) -> None:
    """UTF-8 byte order of the keys is the order of the titles."""
    made = [keys.title_key(text).encode() for text in texts]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


# What a text is found by, and what it is not found by.
FOUND = [
    ("Καφές", ["ΚΑΦΕΣ", "καφές", "καφεσ", "φές"]),
    ("Σίσυφος", ["ΣΊΣΥΦΟΣ", "σισυφος", "ΣΥΦ"]),
    ("τῷ ἀνδρὶ ᾍδου", ["τω ανδρι", "ΤΩΙ ἈΝΔΡῚ".replace("Ι ", " "), "αδου", "ᾅδου"]),
    ("🧹 sweep", ["🧹", "sweep"]),
    ("ΌΡΟΣΑ", ["ΌΡΟΣ", "όρος", "ορος"]),
    ("Straße", ["STRASSE", "straße", "SSE", "ß"]),
    ("ÄRGER", ["ärger", "arger", "A\N{COMBINING DIAERESIS}rger"]),
    ("Кафа", ["КАФА", "каф"]),
    ("ᲐᲑᲒ", ["აბგ"]),
    ("ﬁnish", ["finish", "FI"]),
    ("Ⅳ", ["iv"]),
    ("café", ["CAFE", "cafe\N{COMBINING ACUTE ACCENT}"]),
    ("İstanbul", ["istanbul", "ISTANBUL"]),
    ("Łódź", ["lodz", "ŁÓDŹ"]),
    ("smørrebrød", ["SMORREBROD"]),
    ("100%", ["0%", "%"]),
    ("a_b", ["_", "A_B"]),
    ("a\\b", ["\\"]),
    ("שלום עולם", ["עולם"]),
    ("👩‍👩‍👧 trip", ["👩‍👩‍👧", "trip"]),
    ("co\N{SOFT HYPHEN}operate", ["cooperate"]),
    ("ｶﾀｶﾅ", ["カタカナ", "かたかな"]),
]
NOT_FOUND = [
    ("🧹", "🧼"),
    ("x", "%"),
    ("ab", "_"),
    ("abc", "ac"),
    ("a", "\N{COMBINING ACUTE ACCENT}"),
    ("a", "\N{SOFT HYPHEN}"),
    ("и", "і"),
]


@pytest.mark.parametrize(("text", "sought"), [(text, sought) for text, all_ in FOUND for sought in all_])
def test_a_text_is_found_regardless_of_case_and_accents(text: str, sought: str) -> None:
    """In a title and in a description, however its letters are composed."""
    for form in ("NFC", "NFD"):
        key = keys.search_key(unicodedata.normalize(form, sought))

        assert key in keys.title_key(text)
        assert key in keys.description_key(f"before {text} after")


@pytest.mark.parametrize(("text", "sought"), NOT_FOUND)
def test_other_texts_are_not_found(text: str, sought: str) -> None:
    """Signs are letters like others, and what is never compared is found nowhere."""
    assert keys.search_key(sought) not in keys.title_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Straße", "STRASSE"), ("café", "CAFE\N{COMBINING ACUTE ACCENT}"), ("ﬁn", "FIN"), ("Καφές", "ΚΑΦΈΣ"), ("ｘ", "x")],
)
def test_tags_are_one_regardless_of_case(one: str, other: str) -> None:
    """Also where letters are composed otherwise, or are compatible."""
    assert keys.tag_key(one) == keys.tag_key(other)


def test_tags_that_differ_by_an_accent_are_two() -> None:
    """A tag is a name, not a search."""
    assert keys.tag_key("résumé") != keys.tag_key("resume")


@pytest.mark.parametrize("letter", ["각", "漢", "é", "🧹", "ㅎ", "ﬃ"])
def test_the_end_of_the_longest_description_is_found(letter: str) -> None:
    """Also where each of its 1,000 letters has three weights, as a Korean syllable."""
    assert keys.search_key("끝") in keys.description_key(letter * 999 + "끝")


def test_keys_hold_nothing_that_postgresql_refuses_and_are_bounded() -> None:
    """Neither surrogates nor U+0000; a character that stands for eighteen makes no key that an index cannot hold."""
    made = keys.title_key("\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 200)
    every = "".join(keys.search_key(chr(code)) for code in range(0x80, 0x11000) if not 0xD800 <= code < 0xE000)

    assert len(made.encode()) <= 3 * keys.TITLE_KEY_MAX
    assert "\0" not in every
    every.encode()
