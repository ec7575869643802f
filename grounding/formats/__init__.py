"""One module a kind of file: `read` adds its blocks to a :class:`grounding.blocks.Collector`."""
