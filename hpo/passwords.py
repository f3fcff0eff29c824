"""Addresses are repeated in output, tags and files without the passwords in them."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

HIDDEN = "***"
# user:password@host; what the password is ends at the last @, since it may hold an @ or a / itself.
_OF_USER = re.compile(r"(://[^\s/:@?#'\"]*:)([^\s'\"]*)(@)")
_NAMES = "password|passwd|pass|pwd|passphrase|sslpassword|token|access_token|secret|api_?key"
_IN_QUERY = re.compile(rf"([?&;](?:{_NAMES})=)([^\s&;#'\"]*)", re.IGNORECASE)


def without_password(text: str) -> str:
    """Return an address, or a text with addresses, without the passwords in them."""
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _OF_USER.sub(rf"\1{HIDDEN}\3", text))


def without_passwords_of(addresses: Iterable[str], text: str) -> str:
    """Return a text without the passwords of these addresses, wherever in it they stand.

    Libraries repeat them by themselves, and as they are once their %40 has become an @.
    """
    found = {
        match[2] for address in addresses for pattern in (_OF_USER, _IN_QUERY)
        for match in pattern.finditer(address) if match[2] != HIDDEN
    }
    for secret in sorted(found | {unquote(one) for one in found}, key=len, reverse=True):
        if len(secret) > 3:  # shorter ones would be found in any text
            text = text.replace(secret, HIDDEN)
    return without_password(text)
