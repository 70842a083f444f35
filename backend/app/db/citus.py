"""A Citus cluster in place of one PostgreSQL: the same statements, in more messages, from a login that is confined.

Citus hands `SET LOCAL` on to the nodes that hold the rows only where it is a message of its own inside a transaction
(of several statements in one message it would hand on all the text), and `SET LOCAL ROLE` not at all: the user of the
URL must be the role that the tables are confined to. A statement that inserts within a CTE is not routed to one node:
its intermediate result is copied to every node, so such a write runs in steps. A statement that was sent alone may have
been committed when Unavailable is raised.
"""

from backend.app.db import row_security
from backend.app.db.preamble import (
    LOCK_LIST,
    SET_IDLE_TIMEOUT,
    SET_OWNER,
    SET_TIMEOUT,
    Opening,
    Preamble,
)

_OPENING = ("BEGIN", SET_OWNER, row_security.SET_SEARCH_PATH, SET_TIMEOUT, SET_IDLE_TIMEOUT)

# Works on a single PostgreSQL as well.
CITUS = Preamble(
    statement=Opening(messages=_OPENING),
    transaction=Opening(messages=(*_OPENING, LOCK_LIST)),
    owner_change=Opening(messages=(SET_OWNER,)),
    isolation_parameters=row_security.PARAMETERS_OF_A_CLUSTER,
    in_steps=True,
)
