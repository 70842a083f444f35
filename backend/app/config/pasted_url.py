"""A PostgreSQL URL out of what people paste: blanks and quotes around it go, and everything else is refused by name."""

import re
from typing import Final

from pydantic import SecretStr

_QUOTES: Final = ('"', "'", "`")
_SCHEMES: Final = ("postgres", "postgresql")
_PLAIN: Final = "Paste the URL as your provider shows it"
_WRITTEN: Final = "write postgresql://user:password@host:5432/name"
# What stands before it, or instead of it, and what to do: the first that matches counts.
_OTHERS: Final = [
    (r"psql\b", "it begins with the command `psql`; paste only the URL, without the quotes around it"),
    (
        r"(export\s+)?[A-Z][A-Z0-9_]*\s*=",
        "it begins with a variable's name; paste only what stands behind the `=`",
    ),
    (r"prisma(\+postgres)?:", "this is Prisma Accelerate's address; take the database's own (the direct one)"),
    (r"jdbc:", f"this is written for Java; {_WRITTEN}"),
    (r"[a-z_]+\s*=", f"these are libpq's keywords; {_WRITTEN}"),
    (r"[$%{]", "nobody has replaced this reference to another variable; set the URL itself"),
    (r"[<\u201c\u201d\u2018\u2019\u00ab\u201e(\[]", "there is a bracket or a typographic quote around it; remove it"),
    (r"(mysql|mariadb|sqlite|mongodb|mssql|sqlserver|oracle|file|libsql|cockroachdb)[^/]*:", "only PostgreSQL will do"),
    (r"https?:", "this is the address of a web page or an API; take the database's own"),
]


def postgres_url(pasted: SecretStr) -> SecretStr:
    """The URL with the scheme that libpq knows. Raises ValueError with what is there instead, and what to do."""
    text = _unwrapped(pasted.get_secret_value().strip())
    scheme, separator, rest = text.partition("://")
    kind, _, driver = scheme.lower().partition("+")
    if not separator or kind not in _SCHEMES:
        advice = next((advice for pattern, advice in _OTHERS if re.match(pattern, text)), None)
        raise ValueError(f"must start with postgresql:// (or postgres://){f': {advice}' if advice else f'. {_PLAIN}'}")
    if driver:
        named = f"`+{driver}`" if re.fullmatch("[a-z0-9_]{1,20}", driver) else "what stands behind the `+`"
        raise ValueError(f"must start with postgresql://: {named} is a driver of SQLAlchemy's; leave it out")
    return SecretStr(f"postgresql://{rest}")


def _unwrapped(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES
    return text[1:-1].strip() if is_quoted else text
