"""What all tests share."""

import signal

pytest_plugins = ["tests.toys"]

# A shell's background job ignores Ctrl-C, and so would every process that a test starts in one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
