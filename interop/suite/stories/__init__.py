"""The stories, in the order in which they are told; importing this registers them."""

from . import tour, lifecycle, pairs, tools, real_data, differential, log_files  # noqa: F401
