"""The stories, in the order in which they are told; importing this registers them."""

from . import lifecycle, pairs, tools, real_data, log_files  # noqa: F401
