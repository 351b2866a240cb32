"""What was measured on unlabelled prompts. Made by ``scripts/fit_feature_constants.py``.

Means and standard deviations of the shape numbers in their order; the factor that gives the
standardised group a mean squared length of 1; how alike prompts in general are to a few others,
and what is left of that without what a prompt has in common with all of them. ``VERSION`` is
a digest of these numbers and of ``projection.npy``.
"""

VERSION = "32b805693569"

SHAPE_MEANS = (
    5.8697,  # length
    0.0,  # history
    0.0,  # turns
    0.0,  # system
    0.0,  # tools
    0.0,  # images
    0.0,  # json_mode
    0.0,  # max_tokens
    0.1978,  # uppercase
    0.0385,  # non_ascii
    0.121,  # digits
    0.1927,  # punctuation
    1.1533,  # quotes
    0.1091,  # brackets
    0.0854,  # operators
    1.6903,  # word_length
    1.0878,  # numbers
    1.3312,  # newlines
    0.4582,  # questions
    0.0222,  # list
    0.8315,  # choices
    0.073,  # code
    0.1532,  # maths
    0.0252,  # writing
    0.0078,  # urls
)
SHAPE_SDS = (
    1.5,  # length
    3.0,  # history
    1.0,  # turns
    1.0,  # system
    1.0,  # tools
    1.0,  # images
    1.0,  # json_mode
    1.4,  # max_tokens
    0.3,  # uppercase
    0.25,  # non_ascii
    0.1246,  # digits
    0.1,  # punctuation
    1.8577,  # quotes
    0.1,  # brackets
    0.1,  # operators
    0.1814,  # word_length
    1.1897,  # numbers
    0.9528,  # newlines
    0.5,  # questions
    0.5,  # list
    1.0422,  # choices
    0.15,  # code
    0.1653,  # maths
    0.15,  # writing
    0.5,  # urls
)
SHAPE_SCALE = 0.3053

LIKENESS_MEAN = 0.0070
LIKENESS_SD = 0.1913
CONTRAST_SD = 0.1894
