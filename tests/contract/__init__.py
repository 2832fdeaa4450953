"""The contract of a ChatKit store."""

import warnings

with warnings.catch_warnings():
    # The SDK warns about its own widget classes as it is imported, and pytest turns warnings into errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    import chatkit.types  # noqa: F401 - Every module of this package finds it imported.
