"""Logging: one JSON object a line on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

# What every record has; all else came through `extra=` and belongs in the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


def configure(service: str, level: str = "INFO") -> None:
    """Send every logger's records to stderr as JSON lines that carry the service's name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(
        logging.WARNING
    )  # it tells every request, as the called service does
    logging.getLogger("uvicorn.access").addFilter(_not_a_health_check)


class JsonLines(logging.Formatter):
    """Formats a record as time (UTC), level, service, logger, message, the extras, and a traceback
    if any.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _not_a_health_check(record: logging.LogRecord) -> bool:
    # Services ask each other before every call, see upstream.py: hundreds of lines that say
    # nothing.
    return " /health HTTP" not in record.getMessage().replace('"', "")
