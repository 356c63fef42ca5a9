"""The stories, in the order in which they are told; importing this registers them."""

from . import tour, administration, producing, seeking, group  # noqa: F401
from . import lifecycle, failures, pairs, java_clients, tools, real_data  # noqa: F401
from . import farewell, librdkafka, differential, transcript, log_files  # noqa: F401
