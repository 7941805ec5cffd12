"""What runs beside the product: the sandbox to develop against, the local broker, containers and their settings.

Nothing here is imported by the product, and nothing here imports the product: they meet over HTTP and Kafka only.
"""
