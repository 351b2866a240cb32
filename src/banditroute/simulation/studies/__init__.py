"""Studies: policies × scenarios × seeds on one set of prompts.

``schema`` is what a study file may say, ``reading`` reads one; ``scenarios`` are the built-in
ones. ``plans`` makes a study ready to run: ``courses`` lays a scenario out on the data, with
``roles``, ``traffic`` and ``changes``; ``policies`` makes the players. ``running`` plays what
``keeping`` does not have yet, in ``workers``, each run by ``jobs``; ``phases`` knows what would
have been possible. ``summary`` and ``files`` tell what came out.
"""
