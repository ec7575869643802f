"""What documents say: bytes in, pieces out.

Pure: nothing here imports a sibling package or Azure, or reaches the network. `grounding.extract` turns a file into
blocks, `grounding.chunks` blocks into the pieces that are searched and cited.
"""
