"""The database as whoever the token names. Nothing of the path gets here."""

from typing import Annotated

from fastapi import Depends, Request

from backend.app.db.session import OwnerSession
from backend.app.web.services import services_of


def owner_session(request: Request) -> OwnerSession:
    """The caller's session, in which each statement is a transaction of its own."""
    scope = request.scope
    return OwnerSession(services_of(scope).database, scope["state"]["principal"].user_id)


# For repositories' factories. StrictRoute gives them the transaction of a keyed write in its place.
Session = Annotated[OwnerSession, Depends(owner_session)]
