# One program behind hubbub, that answers every client.
import json
import sys

for line in sys.stdin:
    event = json.loads(line)
    if event["type"] == "message":
        sys.stdout.write(json.dumps({"to": event["id"], "text": event["text"]}) + "\n")
        sys.stdout.flush()
