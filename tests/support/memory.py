"""How much memory clients can make a process keep at most: the sum of docs/configuration.md, of some settings."""

from typing import Final

from backend.app.config import Settings
from backend.app.web.long_body import BYTES_PER_TEXT_BYTE

# What one name of a rate limit and one verified token take, about (bytes).
NAME, TOKEN = 1000, 1000
# What the event loop reads of a connection at once, whether somebody asks for it or not (uvloop and asyncio).
READ_AT_ONCE: Final = 256 * 1024
MEBIBYTE: Final = 2**20


def memory_parts(settings: Settings) -> dict[str, int]:
    """Bytes by the rows of the page's table."""
    import_bytes = settings.max_import_bytes * BYTES_PER_TEXT_BYTE
    return {
        "bodies up to 64 KiB": settings.max_requests * settings.max_body_bytes,
        "what is read ahead": settings.max_requests * READ_AT_ONCE,
        "larger bodies as they are sent": settings.max_body_memory_bytes,
        "larger bodies that are parsed": settings.max_concurrent_imports * import_bytes,
        "larger answers that are not read yet": settings.max_answer_memory_bytes,
        "remembered answers": settings.response_cache_bytes,
        "rate limits": 2 * settings.rate_limit_max_names * NAME,
        "verified tokens": settings.jwt_cache_size * TOKEN,
    }
