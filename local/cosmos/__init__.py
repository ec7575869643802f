"""A stand-in for Azure Cosmos DB for NoSQL: the REST API of ``azure-cosmos``, with one region, one database and
one physical partition.

It takes item operations with etags, patches, transactional batches, queries with continuation tokens and times to live.
As in Azure, data-plane calls can't make or delete databases and containers (403): they come from ``--containers``. Keys
are refused (401), as on an account with local authentication off. Stored procedures, triggers, the change feed, feed
ranges, throughput, hierarchical partition keys, GROUP BY, JOIN and subqueries are refused with 400, and so is a query
over several partitions that is more than a filter.

Vector search is ``SELECT TOP n ... ORDER BY VectorDistance(c.path, @vector)`` in one partition, by the cosine and of
two arguments, where the container has a vector policy for the path. It finds exactly the nearest, which Azure's indexes
do nearly. An item whose vector has other dimensions is refused when it is written, so that it is noticed.

Under ``--consistency Session --lag SECONDS`` a read sees no commit that is younger than the lag unless the client's own
session covers it.

Operations, for counts, faults and ``GET /control/charges`` (estimated request units by operation; reset with
``POST /control/charges/reset``): ``account``, ``database``, ``container <id>``, ``pkranges <id>``, ``refused``, and for
the items of a container ``read``, ``create``, ``upsert``, ``replace``, ``patch``, ``delete``, ``batch``, ``patches``
(a batch of nothing else) or ``query``, followed by its id: ``create requests``. A fault of kind ``status`` strikes
before anything is done (429 and 449 carry ``seconds`` as x-ms-retry-after-ms); after a ``drop`` or ``delay`` the
operation has been done, and only the answer is missing or late.
"""
