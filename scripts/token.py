"""`python -m scripts.token USER_ID`: a token for trying the API, signed as Better Auth would sign it."""

import argparse
import time

from joserfc import jwt
from joserfc.jwk import OctKey

from backend.app import config
from backend.app.config import Settings
from backend.app.problems import StartupError

DAY_MINUTES = 24 * 60


def signed(settings: Settings, user_id: str, minutes: int) -> str:
    """A token for this user. Raises StartupError in production, where only Better Auth makes tokens."""
    if settings.environment == "production":
        raise StartupError("No development tokens in production: tokens come from Better Auth.")
    if not settings.secrets:
        raise StartupError("There is no secret to sign with: BETTER_AUTH_SECRET is not set.")
    now = int(time.time())
    claims: dict[str, object] = {"sub": user_id, "iat": now, "exp": now + minutes * 60}
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(settings.secrets[0]))


def main() -> None:
    """Print the token, or a sentence that says why there is none."""
    parser = argparse.ArgumentParser(prog="python -m scripts.token", description="Print a development token.")
    parser.add_argument("user_id", help="whose token: the id in /api/{user_id}")
    parser.add_argument("--minutes", type=int, default=DAY_MINUTES, help=f"how long it is good ({DAY_MINUTES})")
    arguments = parser.parse_args()
    try:
        print(signed(config.load(Settings), arguments.user_id, arguments.minutes))
    except StartupError as refusal:
        raise SystemExit(str(refusal)) from None


if __name__ == "__main__":
    main()
