"""The colors of all figures."""

# Colors of Okabe and Ito, which people with any color vision tell apart, and grays.
INK, GRAY, PALE, BAND = "#222222", "#767676", "#c4c4c4", "#e9eef5"
BLUE, VERMILION = "#0072b2", "#d55e00"
