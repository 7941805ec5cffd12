"""A local single-node Apache Kafka from package registries alone, for a laptop, the demo and the tests.

Its jars come from Maven Central, its Java from the machine or from PyPI.
`python -m deploy.kafka --port 9092 --data-dir data/kafka` runs it in the foreground.
"""
