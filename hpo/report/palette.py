"""The colors of all figures, each with one meaning."""

# Colors of Okabe and Ito, which people with any color vision tell apart, and grays.
INK, GRAY, PALE, BAND = "#222222", "#767676", "#c4c4c4", "#e9eef5"
BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"

RANGE = BLUE  # what is searched, or will be
VALIDATION, TRAINING = GREEN, ORANGE  # a metric on the rows that judge, and on those that train
DIVERGED = VERMILION
