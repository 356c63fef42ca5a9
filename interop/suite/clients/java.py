"""How Java programs are started: the driver of Java's own clients, and Apache Kafka's tools."""

from __future__ import annotations

from ..broker import STATE

#: Short-lived programs: the first compiler is enough.
JAVA = [
    "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]  # fmt: skip

#: The driver in drivers/java, on the newest clients.
DRIVER = [
    *JAVA, "-cp", f"{STATE}/java-driver/classes:{STATE}/java-driver/*", "flumen.driver.Driver",
]  # fmt: skip

#: All tools in one process.
TOOLS = [
    *JAVA, "-cp", f"{STATE}/java-tools/classes:{STATE}/java-tools/*", "flumen.tools.Tools",
]  # fmt: skip


def tool(name: str) -> list[str]:
    """The start of a command line that runs one of Apache Kafka's own tools."""
    return [*JAVA, "-cp", f"{STATE}/java-tools/*", class_of(name)]


def class_of(name: str) -> str:
    """A tool's class: all but one have left Kafka's Scala package."""
    package = "kafka.admin" if name == "ConfigCommand" else "org.apache.kafka.tools"
    return f"{package}.{name}"
