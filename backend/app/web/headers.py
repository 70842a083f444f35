"""Header fields read by HTTP's grammar (RFC 9110, section 5.6): media types, lists and parameters.

werkzeug parses what is not written in the usual way. It takes 11 MB, so it is loaded by the first such field.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

# Field values whose reading is remembered, and how long they may be (characters).
FIELDS_REMEMBERED: Final = 256
FIELD_REMEMBERED_CHARACTERS: Final = 256

# The spellings of UTF-8 (WHATWG's Encoding standard, section 4.2), of which US-ASCII is a part.
_UTF_8: Final = frozenset({"utf-8", "utf8", "unicode-1-1-utf-8", "us-ascii", "ascii"})


def is_media_type(content_type: str, accepted: Collection[str]) -> bool:
    """Whether a Content-Type field names one of these media types, in UTF-8 where it names a charset.

    Other parameters say nothing about how JSON is read (RFC 8259, section 11; RFC 2045, section 5) and are ignored.
    """
    if content_type in accepted:
        return True
    media_type, parameters = _media_type(content_type)
    return media_type in accepted and parameters.get("charset", "utf-8").strip().lower() in _UTF_8


def _media_type(field: str) -> tuple[str, Mapping[str, str]]:
    from werkzeug.http import parse_options_header  # noqa: PLC0415 - see above

    media_type, parameters = parse_options_header(field)
    return media_type.strip().lower(), {name.lower(): value for name, value in parameters.items()}


def preferences(prefer: str) -> Mapping[str, str]:
    """The preferences of a Prefer field by their names, with their values or `""` (RFC 7240, section 2).

    Names are in lower case. Of several with one name the first counts; parameters of a preference are none themselves.
    """
    return (_preferences_known if len(prefer) <= FIELD_REMEMBERED_CHARACTERS else _preferences)(prefer)


def _preferences(prefer: str) -> Mapping[str, str]:
    from werkzeug.http import parse_list_header, parse_options_header  # noqa: PLC0415 - see above

    found: dict[str, str] = {}
    for item in parse_list_header(prefer):
        preference, _ = parse_options_header(item)
        name, _, value = preference.partition("=")
        found.setdefault(name.strip().lower(), value.strip().removeprefix('"').removesuffix('"'))
    return found


_preferences_known = lru_cache(FIELDS_REMEMBERED)(_preferences)


def best_media_type(accept: str | None, offered: Collection[str]) -> str | None:
    """Which of the offered media types an Accept field likes best (RFC 9110, section 12.5.1).

    The range that names a type most closely decides about it: `type/subtype` before `type/*` before `*/*`; parameters
    other than `q` are ignored. Of types that are liked equally the first one offered wins. None where all are refused.
    """
    if accept is None or not accept.strip():
        return next(iter(offered))
    ranges = _ranges(accept)
    liked = {media_type: _quality(media_type, ranges) for media_type in offered}
    best = max(liked, key=lambda media_type: liked[media_type])
    return best if liked[best] > 0 else None


def _ranges(accept: str) -> dict[str, float]:
    from werkzeug.http import parse_accept_header  # noqa: PLC0415 - see above

    ranges: dict[str, float] = {}
    for item, quality in parse_accept_header(accept):
        media_range, _ = _media_type(item)
        ranges[media_range] = max(quality, ranges.get(media_range, 0.0))
    return ranges


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    kind = media_type.partition("/")[0]
    return next((ranges[name] for name in (media_type, f"{kind}/*", "*/*") if name in ranges), 0.0)
