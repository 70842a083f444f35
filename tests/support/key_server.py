"""Keys as Better Auth has them, and a server that publishes them as it does, or does not."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from backend.app.auth.signatures import SignatureRegistry

Algorithm = Literal["EdDSA", "ES256", "ES512", "RS256", "PS256"]
MAKE: dict[str, Callable[[], Key]] = {
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES512": lambda: ECKey.generate_key("P-521"),
    "RS256": lambda: RSAKey.generate_key(2048),
    "PS256": lambda: RSAKey.generate_key(2048),
}


class SigningKey:
    """One of Better Auth's keys."""

    def __init__(self, algorithm: str = "EdDSA", kid: str | None = None) -> None:
        self.algorithm = algorithm
        self.kid = kid or str(uuid.uuid4())
        self.key: Any = MAKE[algorithm]()

    @property
    def jwk(self) -> dict[str, Any]:
        """As Better Auth publishes it: with alg and kid, never use."""
        return {**self.key.as_dict(private=False), "alg": self.algorithm, "kid": self.kid}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        members = {"alg": self.algorithm, "kid": self.kid, **header}
        return jws.serialize_compact(members, json.dumps(claims).encode(), self.key, registry=SignatureRegistry())

    def token(self, user_id: str, origin: str, **claims: Any) -> str:
        """A token as the jwt() plugin signs it out of the box: 15 minutes, iss and aud are Better Auth's origin."""
        now = int(time.time())
        return self.sign(
            {"sub": user_id, "id": user_id, "iss": origin, "aud": origin, "iat": now, "exp": now + 900} | claims
        )


Answer = Callable[[asyncio.StreamWriter], Any]


class KeyServer:
    """Publishes `keys`; `answer` may be set to answer otherwise. Counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self._asked = asyncio.Condition()
        self.answer: Answer | None = None
        self.url = ""
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._port = 0

    def publish(self, *keys: SigningKey) -> None:
        self.keys = [key.jwk for key in keys]

    async def start(self) -> None:
        """Listen, on the same port as before if it has listened before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in self._clients:
                client.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(10), self._asked:
            await self._asked.wait_for(lambda: self.asked >= times)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                async with self._asked:
                    self.asked += 1
                    self._asked.notify_all()
                if self.answer is None:
                    writer.write(http(json.dumps({"keys": self.keys}).encode()))
                else:
                    await self.answer(writer)
                await writer.drain()
        writer.close()
        self._clients.discard(writer)


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    return "\r\n".join([f"HTTP/1.1 {status}", *(f"{k}: {v}" for k, v in fields.items()), "", ""]).encode() + body


@contextlib.asynccontextmanager
async def key_server(*keys: SigningKey) -> AsyncIterator[KeyServer]:
    server = KeyServer()
    server.publish(*keys)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
