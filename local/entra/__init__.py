"""Stand-in for Microsoft Entra ID, Microsoft Graph's group look-up and the app's managed identity.

Over TLS it serves one tenant's OpenID metadata and signing keys, and ``checkMemberGroups`` of Microsoft Graph. On a
second, plain HTTP port it serves the token endpoint of a managed identity as App Service does. Nobody signs in: the
access tokens of people are made at the control port.

Operations (counts and faults): ``openid-configuration``, ``jwks``, ``checkMemberGroups``, ``msi-token``; only counted:
``token`` (one made at the control port). Faults: ``status``, ``drop``, ``delay``.

What it adds to the control port:

====================================  =======================================================================
POST /control/token                   a :class:`~local.entra.tokens.TokenRequest` -> ``{"access_token": ...}``
POST /control/roll-key                sign with a new key; those before it stay published
POST /control/drop-old-keys           publish the current key only
PUT /control/people/{name}/groups     replace a person's groups: a JSON array of group names
====================================  =======================================================================
"""
