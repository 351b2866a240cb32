"""Parts of configurations that tests of commands put together."""

ROUTER = """
[[routers]]
name = "{name}"
"""
ARM = """
[[providers]]
name = "simulated"
kind = "simulated"

[[arms]]
id = "only"
provider = "simulated"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
"""
