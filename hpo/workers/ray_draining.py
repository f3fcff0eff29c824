"""Detect whether the machine of a worker is about to go away, for example a reclaimed spot machine.

Ray learns about it some time before. Workers ask through a private interface of Ray: without it, a
trial does not notice, and is checkpointed as often as usual.
"""


def is_draining() -> bool:
    """Return whether Ray is draining the node of this worker; takes a millisecond."""
    try:
        import ray
        from ray._private.state import state

        return ray.get_runtime_context().get_node_id() in state.get_draining_nodes()
    except Exception:  # whatever happened, the trial continues
        return False
