"""A NumPy library for training networks: knows arrays and layers, not studies."""
