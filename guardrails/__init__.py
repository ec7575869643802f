"""What may be said: text and policy in, verdict out.

Pure: nothing here imports a sibling package or Azure, or reaches the network. `guardrails.check` is the way in.
"""
