"""The Python interface: studies as objects, which the command line is built on."""
