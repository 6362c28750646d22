"""What requests that the OpenAPI document allows may be refused for: what no schema can say. Anything else is a finding."""

import atexit
import json
import os
import re

import schemathesis

requests = 0

BEYOND_SCHEMAS = [
    # It depends on another report of the request, or on what is stored.
    r"has the same task, provider, model and event key as",
    r"a new task needs an agent",
    r"workspace_id: is needed|say in which workspace|which workspace",
    # It depends on the clock, or on what the clocks of the world have shown.
    r"must not be before 2000|must not be more than a day in the future|is before 1970",
    r"must be a time with its offset|failed to parse|parameter .* is not in the required range",
    # To a schema 1.0 and 1e3 are whole numbers; counts are digits, so that nothing reads them as floats.
    r"must be a whole number",
    # Bytes are bounded, where schemas count characters.
    r"must have at most 200 bytes",
    # A schema's decimals are floats.
    r"must have at most 10 decimals",
    # Both are optional, and null is as good as absent.
    r"needs an id or a (name|title)",
    # The blanks of all alphabets.
    r"must not be empty",
]


@schemathesis.check
def valid_requests_are_refused_only_for_what_no_schema_can_say(ctx, response, case):
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 413, 415, 422):
        return
    problem = response.json()
    reasons = [error["reason"] for error in problem.get("errors", [])] or [problem["detail"]]
    unexplained = [reason for reason in reasons if not any(re.search(known, reason) for known in BEYOND_SCHEMAS)]
    assert not unexplained, f"a valid request was refused with {response.status_code}: {unexplained}"


@schemathesis.hook
def after_call(context, case, response):
    global requests
    requests += 1


def record():
    """Tells scripts/record how many requests were made; called at the end, it counts only where nothing was found."""
    if results := os.environ.get("TALLYBOOK_RESULTS"):
        counts = {"requests": requests, "findings": 0}
        with open(results, "a") as file:
            file.write(json.dumps({"run": "fuzz-api", "seed": int(os.environ["FUZZ_SEED"]), "counts": counts}) + "\n")


atexit.register(record)
