"""Makes the things that the examples in the OpenAPI document are about: world.py URL TOKEN"""

import json
import sys
import urllib.request

WORKSPACE = "7b0d9c52-6a0e-4d5e-9a43-0d2f6f1d9c01"
RUNTIME = "c1f5b8a4-3b57-4f6b-8f0e-5f2f5a0f7e02"
AGENT = "f0c1a0b2-52ab-4f4c-9a4c-6f0b3a1e4d03"
TASK = "0b1f3b0e-5b0a-4f4e-8c53-0a9f5f0c1d11"


def send(method, path, body):
    headers = {"authorization": f"Bearer {sys.argv[2]}", "content-type": "application/json"}
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request) as response:
        response.read()


send("PUT", f"/v1/workspaces/{WORKSPACE}", {"name": "Acme"})
send("PUT", f"/v1/runtimes/{RUNTIME}", {"workspace_id": WORKSPACE, "name": "build-7", "provider": "anthropic"})
send("PUT", f"/v1/agents/{AGENT}", {"workspace_id": WORKSPACE, "name": "reviewer", "runtime_id": RUNTIME})
send("PUT", f"/v1/tasks/{TASK}", {"agent_id": AGENT, "runtime_id": RUNTIME})
counts = {"input_tokens": 1200, "output_tokens": 350, "cache_read_tokens": 18000, "cache_write_tokens": 0}
send("POST", "/v1/usage", {"reports": [{"task_id": TASK, "provider": "anthropic", "model": "claude-opus-4", **counts}]})
