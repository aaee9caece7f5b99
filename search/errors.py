"""What a caller of search/ may catch.

SearchError
└── InvalidInput   a flag, a name or a range that cannot be; exit code 2
"""


class SearchError(Exception):
    """Base of this folder's errors; the message is one line for the user."""


class InvalidInput(SearchError):
    """Something the user gave cannot be: the message says what must hold, what came and what to do."""
