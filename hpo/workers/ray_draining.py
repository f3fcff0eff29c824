"""Whether the machine of a worker is about to go, such as a spot machine that was called back.

Ray is told so some time before. That a worker can ask is not part of its public interface: without
it a trial learns nothing, and is kept as often as ever.
"""


def is_draining() -> bool:
    """Say whether Ray was told to drain the node of this worker; it takes a millisecond."""
    try:
        import ray
        from ray._private.state import state

        return ray.get_runtime_context().get_node_id() in state.get_draining_nodes()
    except Exception:  # whatever became of it: the trial goes on
        return False
