"""Words that tell what kind of request it is, and words that tell nothing.

English, because most prompts of any application that mixes languages still carry English code
and terms; a text without any of these words is neither here nor there, not an error.
A word is looked up by the upper half of its hash: a word that is in no list is taken for one
of a list in about one case of 200.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.words import Hashes, Words


class Kind(IntFlag):
    """What a word may hint at."""

    EMPTY = 1
    CODE = 2
    MATHS = 4
    WRITING = 8


LISTS = {
    # Function words and courtesies: the same request with and without them is one request.
    Kind.EMPTY: """
        a an the of in to on at for and or but if is are was were be been being am it its this
        that these those with as by from into i you he she we they me him them my your his her
        our their do does did done can could would should will shall may might must have has had
        having there here so than then just also too not no yes about please kindly thanks thank
        hello hi hey dear very really lot lots
    """,
    Kind.CODE: """
        code coding program programming programmer script software developer algorithm function
        method class object array string variable pointer loop recursion recursive compile
        compiler runtime debug debugging bug bugs exception traceback segfault refactor implement
        implementation api endpoint backend frontend server database query regex parser json xml
        yaml csv html css http sql mysql postgres postgresql mongodb redis python java javascript
        typescript kotlin swift rust golang php ruby perl scala haskell matlab bash shell
        powershell linux docker dockerfile kubernetes git github react vue angular django flask
        fastapi pandas numpy pytorch tensorflow async await def return import const var void int
        bool boolean float char struct enum lambda null nullptr none true false print println
        printf console std
    """,
    Kind.MATHS: """
        calculate compute solve equation equations formula proof prove theorem algebra geometry
        calculus integral derivative polynomial matrix vector probability median mean average sum
        total difference product quotient ratio fraction percent percentage multiply multiplied
        divide divided divisible subtract plus minus times twice thrice half third quarter dozen
        double triple square cube root triangle rectangle circle radius diameter perimeter area
        volume angle degrees integer integers prime number numbers digit digits many much each
        left altogether remaining per hour hours minutes miles mile km kilometers meters metres
        feet inches litres liters gallons kg kilograms pounds dollars cents cost costs price speed
        earn earns spend spends
    """,
    Kind.WRITING: """
        write writing rewrite rephrase paraphrase draft compose edit proofread essay story stories
        poem poetry haiku song lyrics novel chapter character dialogue scene blog article post
        tweet email letter speech slogan tagline summary summarize summarise outline translate
        translation brainstorm ideas creative fictional imagine roleplay tone paragraph sentence
        sentences
    """,
}


def kinds(hashes: Hashes) -> NDArray[np.uint8]:
    """For each hash of a word, the flags of its kinds."""
    found: NDArray[np.uint8] = _TABLE[hashes >> np.uint32(16)]
    return found


def _table() -> NDArray[np.uint8]:
    table = np.zeros(2**16, dtype=np.uint8)
    for kind, words in LISTS.items():
        table[Words.of(words).hashes >> np.uint32(16)] |= kind.value
    return table


_TABLE = _table()
