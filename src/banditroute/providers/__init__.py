"""Providers: the upstreams that arms are called at.

``openai`` speaks to any OpenAI-compatible server (``client``, ``sse``, ``reading``, ``faults``
are its parts). ``simulated`` plays a scene without a network: ``world`` invents answers of
different skill, price and latency, ``replay`` repeats recorded ones.
"""
