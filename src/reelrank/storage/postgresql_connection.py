"""Connections to PostgreSQL: how they are opened and watched, what goes over them at once, and what their errors say."""

# The driver says nothing of its types, or what they are at first:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pg8000 import Connection, Cursor, Error, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from pg8000.converters import make_params
from pg8000.core import NULL_BYTE, SYNC_MSG, Context
from scramp import ScramException

from reelrank.storage.event_log import StorageError
from reelrank.storage.postgresql_url import PostgresqlUrl

_NOT_THE_STATEMENTS_FAULT = {"08", "28", "40", "53", "55", "57", "58"}  # classes of SQLSTATE
_WITH_A_PASSWORD = {3, 5, 10}  # plain, MD5, SCRAM
_ASK_FOR_TLS = struct.pack("!ii", 8, 80877103)
_AT_ONCE = 500  # rows: the answers fit into the buffers of a socket that nobody reads while we still write


class PostgresqlConnection(Connection):
    """A connection that is given up when the server says nothing, and whose statements take one round trip.

    The driver waits for the server after each of a statement's three messages, and for as long as it takes; here they go out together, those
    of all rows of an `executemany` too. Errors are OperationalError if the server is to blame; one of a connection that is gone says that it is closed,
    which makes SQLAlchemy take another.
    """

    _usock: Any
    _sock: Any

    def cursor(self) -> "_Cursor":
        return _Cursor(self)

    def wait_at_most(self, answer_s: float) -> None:
        """The timeout of a statement helps only while the server can tell the time."""
        self._answer_s = answer_s
        self._usock.settimeout(answer_s)

    def begin(self) -> None:
        """Begins a transaction if there is none."""
        if not self._in_transaction and not self.autocommit:
            self.execute_simple("begin transaction")

    def execute_simple(self, statement: str) -> Context:
        return self._exchange(Context(statement), lambda: self.send_QUERY(statement))

    def execute_unnamed(self, statement: str, vals: Sequence[Any] = (), oids: Iterable[int] = (), stream: object = None) -> Context:
        return self.execute_each(statement, [vals])

    def execute_each(self, statement: str, rows: Sequence[Sequence[Any]]) -> Context:
        """Executes `statement`, whose parameters are called $1, $2 ..., once with each of `rows`."""
        values = [make_params(self.py_types, row) for row in rows]

        def send() -> None:
            self.send_PARSE(NULL_BYTE, statement)
            self.send_DESCRIBE_STATEMENT(NULL_BYTE)
            for row in values:
                self.send_BIND(NULL_BYTE, row)
                self.send_EXECUTE()
            self._sock.write(SYNC_MSG)

        return self._exchange(Context(statement), send)

    def close(self) -> None:
        with contextlib.suppress(Error, OSError, ValueError):  # it may be gone already, with what was not sent
            super().close()

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Context) -> None:
        if int.from_bytes(data[:4], "big") in _WITH_A_PASSWORD and self.password is None:
            raise OperationalError("the server asks for a password, the URL has none")
        super().handle_AUTHENTICATION_REQUEST(data, context)

    def handle_ERROR_RESPONSE(self, data: bytes, context: Any) -> None:
        said = {part[:1]: part[1:].decode(errors="replace") for part in data.split(NULL_BYTE) if part}
        code, text = said.get(b"C", ""), said.get(b"M", "no reason given")
        kind = OperationalError if code[:2] in _NOT_THE_STATEMENTS_FAULT else IntegrityError if code[:2] == "23" else ProgrammingError
        context.error = kind("; ".join(filter(None, (text, said.get(b"D"), said.get(b"H")))))

    def _exchange(self, context: Any, send: Callable[[], None]) -> Context:
        if self._usock is None:
            raise OperationalError("the connection is closed")
        try:
            send()
            self._sock.flush()
            self.handle_messages(context)
        except (OSError, InterfaceError) as problem:
            if problem is context.error:
                raise
            self._abandon()
            if isinstance(problem, TimeoutError) or isinstance(problem.__cause__, TimeoutError):
                said: object = f"no answer within {self._answer_s:g} s"
            else:
                said = context.error or (problem if isinstance(problem, OSError) else "the server hung up")
            raise OperationalError(f"the connection is closed: {said}") from None
        except BaseException as problem:
            if problem is not context.error:
                self._abandon()  # whoever used it next would read the rest of this answer
            raise
        return context

    def _abandon(self) -> None:
        """Closes it without a word: the server does not listen."""
        line, self._usock, self._sock = self._usock, None, None
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()


class _Cursor(Cursor):
    _c: PostgresqlConnection
    _context: Any

    def execute(self, operation: str, args: Sequence[Any] = (), stream: object = None) -> "_Cursor":
        self._c.begin()
        self._keep(self._c.execute_each(operation, [args]) if args else self._c.execute_simple(operation))
        return self

    def executemany(self, operation: str, param_sets: Iterable[Sequence[Any]]) -> "_Cursor":
        rows = list(param_sets)
        self._c.begin()
        changed, context = 0, Context(operation)
        for start in range(0, len(rows), _AT_ONCE):
            context = self._c.execute_each(operation, rows[start : start + _AT_ONCE])
            changed += context.row_count
        context.row_count = changed
        self._keep(context)
        return self

    def _keep(self, context: Context) -> None:
        self._context, self._row_iter = context, iter(context.rows or [])


def connect(address: PostgresqlUrl, answer_s: float) -> PostgresqlConnection:
    """A connection that waits at most `answer_s` for an answer. Raises pg8000's OperationalError."""
    line: socket.socket | None = None
    try:
        line = _line(address)
        line = _with_tls(line, address)
        connection = PostgresqlConnection(
            address.user,
            database=address.database,
            password=address.password,
            ssl_context=False,  # it is there, where it is wanted
            application_name=address.application_name,
            startup_params={"options": address.options},
            sock=line,
        )
    except (OSError, Error, ScramException, StorageError, ValueError) as problem:
        if line is not None:
            line.close()
        where = address.socket_path or f"{address.host}:{address.port}"
        said = f"no answer within {address.connect_timeout} s (timeout)" if isinstance(problem, TimeoutError) else problem
        raise OperationalError(f"no connection to {where}: {said}") from None
    connection.wait_at_most(answer_s)
    return connection


def _line(address: PostgresqlUrl) -> socket.socket:
    if address.socket_path:
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(address.connect_timeout)
        try:
            line.connect(address.socket_path)
        except BaseException:
            line.close()
            raise
        return line
    line = socket.create_connection((address.host, address.port), address.connect_timeout)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, address.keepalives)
    for option, value in (
        ("TCP_KEEPIDLE", address.keepalives_idle),
        ("TCP_KEEPINTVL", address.keepalives_interval),
        ("TCP_KEEPCNT", address.keepalives_count),
        ("TCP_USER_TIMEOUT", address.tcp_user_timeout),
    ):
        if hasattr(socket, option):  # each system has its own
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return line


def _with_tls(line: socket.socket, address: PostgresqlUrl) -> socket.socket:
    context = address.tls()
    if context is None:
        return line
    line.sendall(_ASK_FOR_TLS)
    answer = line.recv(1)
    if answer == b"S":
        return context.wrap_socket(line, server_hostname=address.host)
    if not answer:
        raise ConnectionResetError("the server hung up")
    if address.sslmode != "prefer":
        raise ssl.SSLError(f"the server does not offer TLS, which sslmode {address.sslmode} asks for")
    return line
