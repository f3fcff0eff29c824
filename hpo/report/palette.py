"""The colors of all figures, each with one meaning."""

# Colors of Okabe and Ito, which people with any color vision tell apart, and grays.
INK, GRAY, PALE, BAND, GROUND = "#222222", "#767676", "#c4c4c4", "#e9eef5", "#ffffff"
BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"

RANGE = BLUE  # what is searched, or will be
VALIDATION, TRAINING = GREEN, ORANGE  # a metric on the rows that judge, and on those that train
DIVERGED = VERMILION

DARK = {  # on a dark ground
    "INK": "#e6e6e6", "GRAY": "#9a9a9a", "PALE": "#454545", "BAND": "#26303d", "GROUND": "#16181b",
    "BLUE": "#56b4e9",  # the sky blue of the same eight
}
