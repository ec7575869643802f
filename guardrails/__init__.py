"""What may be said: text and policy in, verdict out.

Pure: nothing here imports a sibling package or Azure, or reaches the network. `guardrails.check` is the way in.
"""

import os

# The model's matrices are small: a second thread of numpy's BLAS waits, spinning, longer than it helps, and on a busy
# machine costs fifty times the work. It is read when numpy is first imported, which is not before this.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
