"""What the demo can go on without."""


class AuthServerError(Exception):
    """The auth server cannot be used; the message says in plain words why and what to do."""
