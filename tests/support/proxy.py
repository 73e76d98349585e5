"""A relay in front of a test's database: what a network between a process and its server can do."""

import select
import socket
import threading

from psycopg import conninfo

from data_miner.ledger.connection import Ledger


class Proxy:
    """A relay to the server on a socket of its own that can drop what comes after COMMIT, or COMMIT itself."""

    def __init__(self, ledger: Ledger) -> None:
        given = conninfo.conninfo_to_dict(ledger.dsn)
        self._target = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.drops: str | None = None  # "request" | "reply"
        self.cuts = 0
        port = self._listener.getsockname()[1]
        self.ledger = Ledger(conninfo.make_conninfo(ledger.dsn, host="127.0.0.1", port=port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting."""
        self._listener.shutdown(socket.SHUT_RDWR)  # close alone leaves accept() asleep
        self._listener.close()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        with client, server:
            while self._pass_on(client, server):
                pass

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        ready, _, _ = select.select([client, server], [], [], 30)
        for end in ready:
            data = end.recv(65536)
            if not data:
                return False
            is_commit = end is client and b"COMMIT" in data
            if is_commit and self.drops == "request":
                self.cuts, self.drops = self.cuts + 1, None
                return False
            (server if end is client else client).sendall(data)
            if is_commit and self.drops == "reply":
                self.cuts, self.drops = self.cuts + 1, None
                server.recv(65536)  # the server has committed and says so; nobody hears it
                return False
        return bool(ready)
