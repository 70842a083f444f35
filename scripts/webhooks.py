"""Messages as Standard Webhooks has them (standardwebhooks.com): signed, and sent to one URL. Knows no database."""

import asyncio
import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Final

import httpx

SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Message:
    """`id` stays the same when it is sent again; `body` is JSON."""

    id: str
    body: bytes


def signature(key: bytes, message: Message, timestamp: int) -> str:
    """The header `webhook-signature`: a version, and HMAC-SHA256 of id, timestamp (seconds since 1970) and body."""
    signed = b".".join((message.id.encode(), str(timestamp).encode(), message.body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


class Receiver:
    """Who is told: one URL, which the operator has set. A redirect is not followed: it would choose another."""

    def __init__(self, url: str, key: bytes, *, timeout: float, client: httpx.AsyncClient) -> None:
        """`timeout` in seconds is for the whole of a try, however slowly the answer comes."""
        self._url = url
        self._key = key
        self._timeout = timeout
        self._client = client

    async def send(self, message: Message) -> str | None:
        """Why it was not taken; None where it was: any status from 200 to 299, whatever the body says."""
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, message, timestamp),
        }
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", self._url, content=message.body, headers=headers) as answer,
            ):
                return None if answer.status_code in SUCCESS else f"status {answer.status_code}"
        except (httpx.HTTPError, TimeoutError) as error:
            return type(error).__name__
