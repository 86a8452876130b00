"""Every trainer argument explicitly, with its origin: what hft does not pass would be the library's to change."""

import dataclasses

from hft.model import patches


def library_defaults(config: type) -> dict:
    """TRL's own defaults of a config class, without those of the class that Unsloth puts in its place."""
    defaults = {}
    for field in dataclasses.fields(patches.trl_class(config)):
        if field.init:
            made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
            defaults[field.name] = None if made is dataclasses.MISSING else made
    return defaults


def complete(config: type, **origins: dict) -> tuple[dict, dict]:
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
