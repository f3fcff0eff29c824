"""Search spaces that are wrong, by what is: the file, the key, and a part of what is said."""

from tests.hpo.study_files import GOOD, HEAD, searched

BAD_SPACES: dict[str, tuple[str, str, str]] = {
    # Ranges
    "no search space": (HEAD, "search_space: ", "add it"),
    "empty search space": (searched(""), "search_space: ", "add at least one"),
    "unknown hyperparameter": (searched("rat = { low = 1, high = 2 }"), "search_space.rat: ",
                               "did you mean 'rate'?"),
    "choices as a list": (
        searched('rate = ["fast", "slow"]'), "search_space.rate: ", "{ choices = ['fast', 'slow'] }"
    ),
    "range of a value": (searched("rate = 3"), "search_space.rate: ", "[fixed]"),
    "low above high": (searched("rate = { low = 2, high = 1 }"), "search_space.rate.low: ",
                       "low = 2 must be below high = 1"),
    "low is high": (searched("rate = { low = 1, high = 1 }"), "search_space.rate.low: ",
                    "low = 1 must be below high = 1"),
    "low missing": (searched("rate = { high = 1 }"), "search_space.rate.low: ", "add it"),
    "log from zero": (searched("rate = { low = 0, high = 1, log = true }"),
                      "search_space.rate.low: ", "raise low or remove `log`"),
    "log from below zero": (searched("rate = { low = -1, high = 1, log = true }"),
                            "search_space.rate.low: ", "raise low or remove `log`"),
    "log too narrow": (searched("rate = { low = 1e99, high = 1.0000000000000002e99, log = true }"),
                       "search_space.rate.low: ", "move them apart"),
    "low infinite": (searched("rate = { low = -inf, high = 1 }"), "search_space.rate.low: ",
                     "finite"),
    "high infinite": (searched("rate = { low = 1, high = inf }"), "search_space.rate.high: ",
                      "finite"),
    "low NaN": (searched("rate = { low = nan, high = 1 }"), "search_space.rate.low: ", "finite"),
    "too wide": (searched("rate = { low = -1e308, high = 1e308 }"), "search_space.rate.high: ",
                 "smaller range"),
    "high beyond floats": (searched(f"rate = {{ low = 1, high = 1{'0' * 400} }}"),
                           "search_space.rate.high: ", "too large"),
    "log of text": (searched("rate = { low = 1, high = 2, log = 'yes' }"),
                    "search_space.rate.log: ", "true or false"),
    "step zero": (searched("rate = { low = 1, high = 2, step = 0 }"), "search_space.rate.step: ",
                  "must be above 0, got 0"),
    "step infinite": (searched("rate = { low = 1, high = 2, step = inf }"),
                      "search_space.rate.step: ", "finite"),
    "step too long": (searched("rate = { low = 1, high = 2, step = 5 }"),
                      "search_space.rate.step: ", "change low, high, or step"),
    "step that does not fit": (searched("rate = { low = 1, high = 2, step = 0.3 }"),
                               "search_space.rate.step: ", "change low, high, or step"),
    "step too small": (searched("rate = { low = 1, high = 2, step = 1e-300 }"),
                       "search_space.rate.step: ", "change low, high, or step"),
    "log with a step": (searched("rate = { low = 1, high = 2, step = 0.5, log = true }"),
                        "search_space.rate.step: ", "remove one"),
    "limits inside": (searched("rate = { low = 1, high = 2, limits = [1.5, 3] }"),
                      "search_space.rate.limits: ", "widen the limits"),
    "limits to zero": (searched("rate = { low = 1, high = 2, log = true, limits = [0, 3] }"),
                       "search_space.rate.limits: ", "raise the lower limit"),
    "limits infinite": (searched("rate = { low = 1, high = 2, limits = [1, inf] }"),
                        "search_space.rate.limits.2: ", "finite"),
    "one limit": (searched("rate = { low = 1, high = 2, limits = [1] }"),
                  "search_space.rate.limits.2: ", "add it"),
    "limits a number": (searched("rate = { low = 1, high = 2, limits = 1 }"),
                        "search_space.rate.limits: ", "list"),
    "fraction of units": (searched("units = { low = 1.5, high = 4 }"), "search_space.units: ",
                          "integers"),
    "infinite units": (searched("units = { low = 1, high = inf }"), "search_space.units.high: ",
                       "finite"),
    "units beyond floats": (searched("units = { low = 9007199254740993, high = 9007199254740995 }"),
                            "search_space.units: ", "smaller"),
    "step of units": (searched("units = { low = 1, high = 10, step = 2 }"),
                      "search_space.units.step: ", "change low, high, or step"),
    "range of a word": (searched("kind = { low = 1, high = 2 }"), "search_space.kind.low: ",
                        "valid keys: choices"),
    "low of truth": (searched("rate = { low = true, high = 2 }"), "search_space.rate.low: ",
                     "number"),
    # Choices
    "no choices": (searched("rate = { choices = [] }"), "search_space.rate.choices: ",
                   "must not be empty"),
    "choices no list": (searched("rate = { choices = 1 }"), "search_space.rate.choices: ", "list"),
    "choices and a range": (searched("rate = { low = 1, high = 2, choices = [1] }"),
                            "search_space.rate.low: ", "valid keys: choices"),
    "choice twice": (searched("rate = { choices = [1, 2, 1.0] }"), "search_space.rate.choices: ",
                     "list each once"),
    "list twice": (searched("sizes = { choices = [[1, 2], [1, 2]] }"),
                   "search_space.sizes.choices: ", "list each once"),
    "choice of another type": (searched("units = { choices = [1, 'a'] }"),
                               "search_space.units.choices: ", "integer"),
    "unknown choice": (searched("kind = { choices = ['plain', 'fncy'] }"),
                       "search_space.kind.choices: ", "'fancy'"),
    "choice NaN": (searched("bound = { choices = [1.0, nan] }"), "search_space.bound.choices: ",
                   "use a number"),
    # What the objective refuses
    "low refused": (searched("rate = { low = -15, high = 1 }"), "search_space.rate: ",
                    "rate must lie in (0, 1000), not -14"),
    "high refused": (searched("rate = { low = 0, high = 1600 }"), "search_space.rate: ",
                     "not 1500.0; change it"),
    "choice refused": (searched("sizes = { choices = [[10], [0]] }"), "search_space.sizes: ",
                       "change it"),
    "all but few refused": (
        "constraints = ['rate < 1e-12']\n" + searched("rate = { low = 0, high = 1 }"),
        "constraints: ", "none of 1000 points",
    ),
    # Conditions
    "condition on nothing": (searched("rate = { low = 0, high = 1, when = { knd = 'odd' } }\n"
                                      "kind = { choices = ['odd', 'plain'] }"),
                             "search_space.rate.when.knd: ", "did you mean 'kind'?"),
    "condition on itself": (searched("units = { low = 1, high = 5, when = { units = 3 } }"),
                            "search_space.units.when.units: ", "remove it"),
    "condition on real numbers": (searched("rate = { low = 0, high = 1 }\n"
                                           "units = { low = 1, high = 5, when = { rate = 0.5 } }"),
                                  "search_space.units.when.rate: ", "choices or integers"),
    "condition on no choice": (searched("rate = { low = 0, high = 1, when = { kind = 'fancy' } }\n"
                                        "kind = { choices = ['odd', 'plain'] }"),
                               "search_space.rate.when.kind: ", "valid values: odd, plain"),
    "condition without a value": (searched("rate = { low = 0, high = 1, when = { kind = [] } }\n"
                                           "kind = { choices = ['odd', 'plain'] }"),
                                  "search_space.rate.when.kind: ", "at least one"),
    "conditions in a circle": (
        searched("units = { choices = [1, 2], when = { kind = 'odd' } }\n"
                 "kind = { choices = ['odd', 'plain'], when = { units = [1] } }"),
        "search_space.units.when: ", "units on kind on units",
    ),
    "when no table": (searched("rate = { low = 0, high = 1, when = 3 }"),
                      "search_space.rate.when: ", "expected a table"),
    "start where it is not searched": (
        searched("rate = { low = 0, high = 1, when = { kind = 'odd' } }\n"
                 "kind = { choices = ['odd', 'plain'] }") + "\n[[start]]\nrate = 0.5",
        "start.1.rate: ", "add kind to the point",
    ),
    # Parts
    "repeat of nothing": (searched("sizes = { low = 1, high = 5, repeat = 'unit' }\n"
                                   "units = { low = 1, high = 5 }"),
                          "search_space.sizes.repeat: ", "did you mean 'units'?"),
    "repeat by real numbers": (searched("sizes = { low = 1, high = 5, repeat = 'rate' }\n"
                                        "rate = { low = 0, high = 1 }"),
                               "search_space.sizes.repeat: ", "not an integer"),
    "repeat of one number": (searched("rate = { low = 0, high = 1, repeat = 'units' }\n"
                                      "units = { low = 1, high = 5 }"),
                             "search_space.rate.repeat: ", "tuple[int, ...]"),
    "repeated too often": (searched("sizes = { low = 1, high = 5, repeat = 'units' }\n"
                                    "units = { low = 1, high = 65 }"),
                           "search_space.sizes.repeat: ", "change its range or its limits"),
    "repeat of itself": (searched("sizes = { low = 1, high = 5, repeat = 'sizes' }"),
                         "search_space.sizes.repeat: ", "is itself repeated"),
    "range of a tuple": (searched("sizes = { low = 1, high = 5 }"), "search_space.sizes: ",
                         "repeat = "),
    "condition on parts": (searched("sizes = { low = 1, high = 5, repeat = 'units' }\n"
                                    "units = { low = 1, high = 3 }\n"
                                    "rate = { low = 0, high = 1, when = { sizes = [1] } }"),
                           "search_space.rate.when.sizes: ", "use units, which counts its parts"),
    "constraint on parts": ("constraints = ['sizes < 3']\n"
                            + searched("sizes = { low = 1, high = 5, repeat = 'units' }\n"
                                       "units = { low = 1, high = 3 }"),
                            "constraints.1: ", "is repeated"),
    "constraint of order on a text": ("constraints = ['kind < 3']\n"
                                      + searched("kind = { choices = ['odd', 'plain'] }"),
                                      "constraints: ", "with == and !="),
    "constraint on no choice": ("constraints = ['kind != \"old\"']\n"
                                + searched("kind = { choices = ['odd', 'plain'] }"),
                                "constraints: ", "did you mean 'odd'?"),
    "no part": (searched("sizes = { low = 1, high = 5, repeat = 'units' }")
                + "\n[fixed]\nunits = 0", "search_space.sizes.repeat: ", "units is 0"),
    "only what is never searched": (
        searched("rate = { low = 0, high = 1, when = { kind = 'odd' } }")
        + "\n[fixed]\nkind = 'plain'", "search_space: ", "nothing is searched, because",
    ),
    "start with one value for parts": (
        searched("sizes = { low = 1, high = 5, repeat = 'units' }\nunits = { low = 1, high = 3 }")
        + "\n[[start]]\nsizes = 4", "start.1.sizes: ", "a list of at most 3",
    ),
    "start with too many parts": (
        searched("sizes = { low = 1, high = 5, repeat = 'units' }\nunits = { low = 1, high = 3 }")
        + "\n[[start]]\nsizes = [1, 2, 3]\nunits = 2", "start.1.sizes: ", "but units is 2",
    ),
    "part alone": (searched("'sizes.1' = { low = 1, high = 5 }"), "search_space.sizes.1: ",
                   "give all of them one range"),
    # Constraints
    "constraints no list": (
        "constraints = 'rate < 1'\n" + GOOD, "constraints: ", "expected a list"
    ),
    "constraint no comparison": ("constraints = ['rate']\n" + GOOD, "constraints.1: ",
                                 "is not a comparison"),
    "constraint of a call": ("constraints = ['rate < 1', 'abs(rate) < 1']\n" + GOOD,
                             "constraints.2: ", "is not a comparison"),
    "constraint on nothing": ("constraints = ['rat < 1']\n" + GOOD, "constraints.1: ",
                              "did you mean 'rate'?"),
    "constraint of numbers": ("constraints = ['1 < 2']\n" + GOOD, "constraints.1: ",
                              "uses no hyperparameter"),
    "start against a constraint": (
        "constraints = ['rate < 0.5']\n" + searched("rate = { low = 0, high = 1 }")
        + "\n[[start]]\nrate = 0.75", "start.1: ", "move the point",
    ),
    "metric MLflow lacks": (GOOD.replace(":train", ":ranking"),
                            "objective: objectives_of_test_study:ranking declares the metric name",
                            "; rename it"),
    "choice with NUL": (searched(r'label = { choices = ["a", "b\u0000"] }'),
                        "search_space.label.choices: ", "remove it"),
    "long choice": (searched(f"label = {{ choices = ['a', '{'b' * 5999}'] }}"),
                    "search_space.label.choices: takes 6001", "put the value in a file"),
    "fixed with NUL": (GOOD + r'[fixed]' + '\nlabel = "a\\u0000"', "fixed.label: ", "remove it"),
    "long fixed": (f"{GOOD}[fixed]\nlabel = '{'한' * 6000}'", "fixed.label: takes 6002",
                   "put the value in a file"),
    "long fixed list": (f"{GOOD}[fixed]\nsizes = {[1] * 2001}", "fixed.sizes: takes 6003", "file"),
    "source with NUL": (GOOD + '[data]\nsource = "a\\u0000"', "data.source: ", "remove it"),
    "name with a mark": (searched('"\u0926\u0930\u0940" = { low = 0.0, high = 1.0 }'),
                         "search_space.", "rename it in the objective"),
    "middle choice refused": (searched("label = { choices = ['a', 'refused', 'b'] }"),
                              "search_space.label: ", "change it"),
    "middle list refused": (searched("sizes = { choices = [[1], [0], [2]] }"),
                            "search_space.sizes: ", "must not hold 0"),
    "no default": (searched("width = { choices = [1] }").replace(":train", ":needy"),
                   "fixed.rate: ", "add it here, or add its range"),
    "type without a form": (GOOD.replace(":train", ":needy") + "[fixed]\nodd = 1",
                            "fixed.odd: ", "give it a plain type"),
}
