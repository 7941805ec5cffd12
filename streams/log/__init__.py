"""Kafka without Faust: connections, topics, producer, reader. The only importer of aiokafka besides agents.runtime."""
