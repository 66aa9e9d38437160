"""By which key a node is known to the log's server: an nkey, whose seed lies in a file.

    in   the path of the seed
    out  the public key, for the server's list of users

The server learns the public key alone; the client signs what the server asks it to. A seed is made
by `nk -gen user` or `nsc`.
"""

from __future__ import annotations

from pathlib import Path

import nkeys
from nacl.exceptions import CryptoError

from tsdb.errors import InvalidInput

__all__ = ["public_key"]


def public_key(seed: Path) -> str:
    """Raises InvalidInput when the file holds no seed of a user."""
    try:
        text = bytearray(seed.read_bytes().strip())
        pair = nkeys.from_seed(text)
        public = bytes(pair.public_key).decode()
        pair.wipe()
    except OSError as error:
        raise InvalidInput(f"nats.seed {seed}: {error.strerror or error}") from error
    except (nkeys.NkeysError, CryptoError, ValueError) as error:
        raise InvalidInput(f"nats.seed {seed} holds no seed of an nkey") from error
    if not public.startswith("U"):
        raise InvalidInput(f"nats.seed {seed} is not of a user: its public key begins {public[0]}")
    return public
