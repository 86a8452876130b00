"""Every value of a recipe with its origin and its meaning."""

from hft.recipe.file import Key, Loaded
from hft.recipe.section import Section
from hft.terminal import columns


def values(loaded: Loaded) -> str:
    """Every value of a recipe with its origin and its meaning."""
    lines = [["key", "value", "set by", "meaning"]]

    def walk(section: Section, key: Key) -> None:
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            here = (*key, name)
            if isinstance(value, Section):
                walk(value, here)
                continue
            if isinstance(value, list) and value and isinstance(value[0], Section):
                for number, item in enumerate(value):
                    walk(item, (*here, str(number)))
                continue
            origin = loaded.origins.get(here) or short_form(loaded.origins, here) or "default"
            shown = "-" if value is None else str(value)
            lines.append(
                [".".join(here), shown if len(shown) < 60 else shown[:57] + "...", origin, field.description or ""]
            )

    walk(loaded.recipe, ())
    return columns(lines) + f"\ndigest {loaded.digest}"


def short_form(origins: dict[Key, str], key: Key) -> str | None:
    """Where a section was written as a bare name, such as `parent: NAME` or one of `rewards`."""
    if (key[0], key[-1]) not in (("parent", "recipe"), ("rewards", "name")):
        return None
    return origins.get(key[:-1]) or origins.get(key[:1])
