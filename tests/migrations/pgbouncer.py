"""A real PgBouncer in front of a test's database."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.fix_migrator import until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.postgres_server import Database

PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


class PgBouncer:
    """A pooler of its own, with a pool of one session.

    Args:
        database: what is behind it.
        mode: ``session``, ``transaction`` or ``statement``.
        folder: for its files.
        size: how many sessions it has.
    """

    def __init__(self, database: Database, mode: str, folder: Path, *, size: int = 2) -> None:
        assert PROGRAM is not None, "install pgbouncer"
        server = urlsplit(database.url)
        assert server.password is not None
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        name = server.path.lstrip("/")
        self.url = f"postgresql://{server.username}:{server.password}@127.0.0.1:{port}/{name}"
        folder.mkdir(parents=True)
        # PgBouncer refuses to be root; its files then have to be where another user reaches them.
        users = folder / "users.txt"
        users.write_text(f'"{server.username}" "{unquote(server.password)}"\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n{name} = host={server.hostname} port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\n"
            f"auth_file = {users}\npool_mode = {mode}\ndefault_pool_size = {size}\nunix_socket_dir =\n"
            f"logfile = {folder / 'log'}\n"
        )
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if account is not None:
            for path in (folder, users, configuration):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        self._port = port

    def __enter__(self) -> Self:
        def listens() -> bool:
            assert self._process.poll() is None, "PgBouncer ended"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self._port)) == 0

        until(listens, what="PgBouncer")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
