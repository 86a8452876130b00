"""What a recipe is: its schema, its file, its mistakes in words. Imports nothing but the ground."""

import os

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for plugins costs 20 ms and hft has none
