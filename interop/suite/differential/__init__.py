"""The same requests to Flumen and to Apache Kafka, and the answers compared field by field.

`asker` sends and remembers, `masks` says what may differ and why, `scenes` says what is asked.
"""
