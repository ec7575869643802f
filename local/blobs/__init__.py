"""A stand-in for Azure Blob Storage: block blobs by the REST API of ``azure-storage-blob``.

https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api. It takes Put Blob, Put Block and Put Block
List, Get Blob (with a range), Get Blob Properties and Delete Blob, with If-Match and If-None-Match. Containers come
from ``--containers``; a call can't make or delete them (403), as with a role on one container only. Shared keys are
refused (403), as on an account that does not allow them. Lists, snapshots, versions, leases, tags, metadata, tiers,
copies, page and append blobs are refused with 400.

A blob is what its last commit made of it: blocks that no list names are read by nobody, and are dropped with the next
commit, or a week after the last of them. What a client sends with Content-MD5 is checked.

Operations (counts and faults): ``put-blob``, ``put-block``, ``put-block-list``, ``get``, ``properties``, ``delete``,
``refused``. A fault of kind ``status`` strikes before anything is done; after a ``drop`` or ``delay`` the operation has
been done, and only the answer is missing or late.
"""
