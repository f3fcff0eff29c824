"""A NumPy library for training networks: it knows arrays and layers, not studies."""
