"""Every trainer argument explicitly, with where it came from: what hft does not pass would be the library's to change."""

import dataclasses


def library_defaults(config) -> dict:
    """TRL's own defaults of a config class; Unsloth replaces the class by one with about twenty other defaults on a GPU."""
    original = next(c for c in config.__mro__ if c.__module__.startswith("trl.") and dataclasses.is_dataclass(c))
    defaults = {}
    for field in dataclasses.fields(original):
        if field.init:
            made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
            defaults[field.name] = None if made is dataclasses.MISSING else made
    return defaults


def complete(config, **origins: dict) -> tuple[dict, dict]:
    """Merge `{origin: {argument: value}}` over the library's defaults; returns (all arguments, `{argument: origin}`).

    Raises TypeError for an argument that the library does not have: Unsloth would ignore it in silence.
    """
    values = library_defaults(config)
    where = dict.fromkeys(values, "library default")
    for origin, chosen in origins.items():
        for name, value in chosen.items():
            if name not in values:
                raise TypeError(f"{config.__name__} has no argument '{name}'")
            values[name], where[name] = value, origin
    return values, where
