"""Texts of others' JSON, which may hold halves of characters: they can be neither sent nor stored."""


def whole_characters(text: str) -> str:
    """Return a text with halves of one character joined; a half that is alone becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
