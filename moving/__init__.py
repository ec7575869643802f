"""Leaving and moving: everything that the product keeps, out of one deployment and into another.

What it keeps is in Cosmos DB and Blob Storage; the trail is in Log Analytics, and stays there. An export is a folder::

    config.jsonl, requests.jsonl, ...   a container each: a document a line, as it is stored
    blobs.jsonl                         a file each: its name, size and SHA-256
    blobs/                              the files, under their names with everything but letters and digits escaped
    export.json                         written last: how many there are of each, and the hash of each list
    import.json                         written by an import: into which account, and whether it is through

A document keeps ``_ts``, when it was last written (Unix seconds), since its ``ttl`` counts from then; the other
properties of Cosmos DB's own are left out. The folder has what people said: only its owner may read it.
"""
