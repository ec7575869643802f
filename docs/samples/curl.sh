#!/bin/sh
# A governed assistant with nothing but curl: BASE_URL=https://<app>.azurewebsites.net/api/openai/v1 TOKEN=... sh curl.sh
set -eu
curl -sS --fail-with-body "$BASE_URL/chat/completions" \
    -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H "Idempotency-Key: $$-$(date +%s)" \
    -d "{\"model\": \"${ASSISTANT:-sales-helper}\", \"messages\": [{\"role\": \"user\", \"content\": \"What makes a good offer?\"}]}"
echo
