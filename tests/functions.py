"""A line of a file of `source: codeio`."""


def made(body, generator="return {'n': random.randint(1, 4)}", head=""):
    """A function `f(n)` with this body, in the unified form."""
    return {
        "refcode": f"import random, time, datetime, os\n{head}\ndef f(n):\n    {body}\n",
        "funcname": "f",
        "input_generator": f"import random\n\ndef input_generator():\n    {generator}",
    }
