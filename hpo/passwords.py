"""Remove passwords from addresses before they appear in output, tags and files."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

HIDDEN = "***"
# user:password@host; a password ends at the last @, because it may contain @ and / itself.
_OF_USER = re.compile(r"(://[^\s/:@?#'\"]*:)([^\s'\"]*)(@)")
_NAMES = "password|passwd|pass|pwd|passphrase|sslpassword|token|access_token|secret|api_?key"
_IN_QUERY = re.compile(rf"([?&;](?:{_NAMES})=)([^\s&;#'\"]*)", re.IGNORECASE)


def without_password(text: str) -> str:
    """Return an address, or text with addresses, with the passwords replaced by ***."""
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _OF_USER.sub(rf"\1{HIDDEN}\3", text))


def without_passwords_of(addresses: Iterable[str], text: str) -> str:
    """Return text with the passwords of these addresses replaced, wherever they appear.

    Libraries print them on their own, and decoded, with %40 turned into @.
    """
    found = {
        match[2] for address in addresses for pattern in (_OF_USER, _IN_QUERY)
        for match in pattern.finditer(address) if match[2] != HIDDEN
    }
    for secret in sorted(found | {unquote(one) for one in found}, key=len, reverse=True):
        if len(secret) > 3:  # shorter ones would be found in any text
            text = text.replace(secret, HIDDEN)
    return without_password(text)
