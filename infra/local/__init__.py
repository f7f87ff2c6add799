"""The local run: the embedded engine, template.yaml deployed to it, and the API on a port (`make run`)."""
