# What this project does on one machine. Each command makes .venv ready first; all they need is Python 3.13 or newer.
#
#   make demo    one governed request, end to end, explained    MODEL=scripted: without the real model
#   make up      the stack stays up until Ctrl-C                INSTANCES=2 MODEL=scripted
#   make test    lint, types, contracts, all tests
#   make bench   what one request costs: messages, events, operations, request units, time; and whether the time of a 404
#                tells that an assistant exists; caps, stops, the trail, grounding, reports; what is added to a call of the model,
#                beside LiteLLM's proxy if PEER is an interpreter that has it   ONLY=request_cost, caps, ...   TIMES=3
#   make faults  500 questions under each of the faults that tests/e2e/test_fault_matrix.py knows, as a table, and 250 at
#                once against a cap that covers 20: half an hour
#   make bench-guardrails  how much personal data is found and how fast, beside plain Presidio       DATA=FILE
#   make bench-flags       how many injections and requests for harm are flagged, and harmless texts       DATA=FOLDER
#   make claims  which promises of docs/claims.md are kept, and by which tests; fills in docs/security-review.md
#   make sbom    what Azure installs, as a CycloneDX 1.6 bill of materials: .local/sbom.cdx.json
#   make openapi write docs/openapi.json anew, after a change of the HTTP API
#   make infra-check  the Bicep files parse, checkov passes, code and infrastructure say the same
#   make lint    lint, types, contracts
#   make clean   remove what these made

.PHONY: demo up test bench faults bench-guardrails bench-flags claims sbom openapi infra-check lint clean bootstrap
python := .venv/bin/python

demo: bootstrap
	@$(python) -m local.demo --model $(or $(MODEL),real)

up: bootstrap
	@exec $(python) -m local.up --model $(or $(MODEL),real) --instances $(or $(INSTANCES),1)

test: bootstrap
	@scripts/check all

bench: bootstrap
	@for each in $(or $(ONLY),request_cost hidden_assistants caps stop audit retrieval reports overhead); do $(python) -m bench.$$each || exit; echo; done

faults: bootstrap
	@FAULT_QUESTIONS=$(or $(QUESTIONS),500) BURST=250 \
		$(python) -m pytest -q -s -p no:xdist tests/e2e/test_fault_matrix.py tests/e2e/test_caps_under_load.py

bench-guardrails: bootstrap
	@$(python) -m bench.pii --data $(DATA)

bench-flags: bootstrap
	@$(python) -m bench.flags --data $(DATA)

claims: bootstrap
	@$(python) -m scripts.claims

sbom: bootstrap
	@$(python) -m scripts.sbom .local/sbom.cdx.json

openapi: bootstrap
	@$(python) -m scripts.openapi

infra-check: bootstrap
	@scripts/infra-check

lint: bootstrap
	@scripts/check lint

clean:
	rm -rf .venv .venv-infra .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

bootstrap:
	@scripts/bootstrap
