"""What PostgreSQL's error codes mean to a caller (PostgreSQL's manual, appendix A). No other module names a code."""

import psycopg2

from backend.app import problems

QUERY_CANCELED = "57014"
# SQLSTATE classes and codes that say "not now" (PostgreSQL's manual, appendix A): connection, resources, operator,
# system; read-only server, idle in a transaction for too long, serialization failure, deadlock, lock not available.
NOT_NOW_CLASSES = frozenset({"08", "53", "57", "58"})
# A node of a Citus cluster was lost in a transaction that had written there: "failure on connection marked as
# essential" comes as an internal error.
NODE_LOST = "XX000"
NOT_NOW = frozenset({"25006", "25P03", "40001", "40P01", "55P03", NODE_LOST})
# Of these, those after which nothing was done and the same may succeed: serialization failure, deadlock.
UNDONE = frozenset({"40001", "40P01"})
# The server ended the connection, so that nobody knows whether a commit was made: administrator, crash, not yet up.
CUT_OFF = frozenset({"57P01", "57P02", "57P03"})
# Undefined table, undefined column: the schema went away under us. Invalid parameter value: the role of SET ROLE did.
SCHEMA_GONE = frozenset({"42P01", "42703", "22023"})
# Somebody may have changed the walls. A row that a policy refused has this code, too, so it remains a fault of ours.
PRIVILEGE_MISSING = "42501"

# What a prepared statement can meet: it is not there, it is there already, it no longer fits the tables.
NO_SUCH_STATEMENT, STATEMENT_EXISTS, PLAN_OUTDATED = "26000", "42P05", "0A000"
PREPARED_IN_DOUBT = frozenset({NO_SUCH_STATEMENT, STATEMENT_EXISTS, PLAN_OUTDATED})


def problem_of(error: psycopg2.Error) -> problems.Problem | None:
    """The problem that a database error means to the caller, and whether to try again; None if it is a fault of ours.

    Without a code nobody knows whether the statement was executed: the connection was lost.
    """
    code = error.pgcode
    if code == QUERY_CANCELED:
        return problems.RequestTimeout()
    if code is None:
        lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        return _unavailable(problems.Retry.IF_IDEMPOTENT) if lost else None
    if code in UNDONE:
        return _unavailable(problems.Retry.ALWAYS)
    if code in CUT_OFF:
        return _unavailable(problems.Retry.IF_IDEMPOTENT)
    not_now = code in SCHEMA_GONE or code in NOT_NOW or code[:2] in NOT_NOW_CLASSES
    return problems.DatabaseUnavailable() if not_now else None


def _unavailable(retry: problems.Retry) -> problems.DatabaseUnavailable:
    unavailable = problems.DatabaseUnavailable()
    unavailable.retry = retry
    return unavailable
