"""What a release of the product left behind: its documents and messages, kept as it wrote them, for the readers of all
later ones. A folder a release, made by ``python -m tests.releases.make`` when it is released, and never changed."""
