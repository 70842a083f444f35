"""When Better Auth's public keys are fetched: before they are old, and once for a key that is not among them.

Knows HTTP and clocks; what a key is and what it may verify is `signatures.py`'s.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from math import ceil

import httpx

from backend.app import problems
from backend.app.auth.signatures import PublishedKeys, Unusable, read_published

# The waits after a fetch that failed (seconds): each is twice the one before. Short to the end, so that tokens of a new
# key are good within seconds of Better Auth's return.
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 4.0

log = logging.getLogger("tasks")


class RemoteKeys:
    """The keys at a JWKS URL, kept fresh while Better Auth is there, and kept while it is away.

    `replace` is called with the keys whenever they have changed.
    """

    def __init__(
        self,
        url: str,
        *,
        replace: Callable[[PublishedKeys], None],
        ttl: float,
        cooldown: float,
        timeout: float,
        max_bytes: int,
        max_waiting: int = 50,
    ) -> None:
        """Times in seconds. `ttl`: how often the keys are fetched unasked.

        `cooldown`: how long after a look for an unknown key there is no other. `max_waiting`: requests that wait for a
        look at the same time.
        """
        self._url = url
        self._replace = replace
        self._ttl = ttl
        self._cooldown = cooldown
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._max_waiting = max_waiting
        self._waiting = 0
        self._client: httpx.AsyncClient | None = None
        self._document = b""
        self._away = True  # nothing was fetched yet
        self._failed = asyncio.Event()
        self._looked = -cooldown
        self._fetching: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Fetch again and again beside what runs inside, so that requests seldom wait for it."""
        # No redirects: whoever can make Better Auth redirect would choose the keys. No proxies from the environment.
        async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=self._timeout) as self._client:
            task = asyncio.create_task(self._keep_fresh())
            try:
                yield
            finally:
                for running in (task, self._fetching):
                    if running is not None:
                        running.cancel()
                        await asyncio.wait([running])

    async def _keep_fresh(self) -> None:
        retry = FIRST_RETRY_SECONDS
        await self._fetched()
        while True:
            if self._away:
                await asyncio.sleep(retry)
                retry = min(retry * 2, LONGEST_RETRY_SECONDS)
                await self._fetched()
            else:
                retry = FIRST_RETRY_SECONDS
                await self._until_old_or_away()

    async def _until_old_or_away(self) -> None:
        """Fetch when the keys are old, unless a request's look for an unknown key finds Better Auth away before."""
        self._failed.clear()
        try:
            async with asyncio.timeout(self._ttl):
                await self._failed.wait()
        except TimeoutError:
            await self._fetched()

    async def look_again(self) -> None:
        """Called for a key that is not known: when it returns, the keys are as Better Auth tells at this moment.

        Raises SigningKeysUnavailable when that is not known: the fetch failed, too many wait for it, or the last look
        was less than the cooldown ago. A key may have been published since, and a 401 would sign its users out.
        """
        remaining = self._looked + self._cooldown - time.monotonic()
        if self._fetching is None and remaining > 0:
            # Where Better Auth is away, it is asked again and again by itself, and long before the cooldown is over.
            raise problems.SigningKeysUnavailable() if self._away else problems.SigningKeysUnavailable(ceil(remaining))
        if self._waiting >= self._max_waiting:
            raise problems.SigningKeysUnavailable(1)
        if self._fetching is None:
            self._looked = time.monotonic()
        self._waiting += 1
        try:
            await self._fetched()
        finally:
            self._waiting -= 1
        if self._away:
            raise problems.SigningKeysUnavailable

    async def _fetched(self) -> None:
        """Fetch, or wait for the fetch that is on its way; whoever stops waiting does not stop it."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._ended)
        await asyncio.shield(self._fetching)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                document = await self._download()
            if document != self._document:
                self._replace(_usable(document))
                self._document = document
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the next try is on its way
            self._away = True
            self._failed.set()
            known = isinstance(error, httpx.HTTPError | TimeoutError | Unusable)
            fields = {"error": type(error).__name__, "reason": str(error).partition("\n")[0] if known else None}
            log.warning("jwks: cannot fetch the keys", extra={"fields": fields})
        else:
            self._away = False

    async def _download(self) -> bytes:
        if self._client is None:
            raise Unusable("nothing is fetched before the start or after the end")
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise Unusable(f"the answer's status is {answer.status_code}")
            document = bytearray()
            async for piece in answer.aiter_raw():
                document += piece
                if len(document) > self._max_bytes:
                    raise Unusable(f"the answer has more than {self._max_bytes} bytes")
            return bytes(document)


def _usable(document: bytes) -> PublishedKeys:
    """The keys of a document. Raises Unusable where there is none: keys that are known are not given up for nothing."""
    keys, faults = read_published(document)
    for fault in faults:
        log.warning("jwks: a key is skipped", extra={"fields": {"reason": fault}})
    if not keys:
        raise Unusable("no key in it can be used")
    return keys
