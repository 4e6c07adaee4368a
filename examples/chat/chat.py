#!/usr/bin/env python3
"""A chat room. Everybody has a name, and /nick changes it.

    hubbub serve :9000 --json -- examples/chat/chat.py
"""
import json
import sys

names = {}  # by id, of who is here


def say(**command):
    print(json.dumps(command), flush=True)


for line in sys.stdin:
    event = json.loads(line)
    id, kind = event["id"], event["type"]
    if kind == "join":
        names[id] = event.get("name", f"guest{id}")
        say(text=f"* {names[id]} is here, and {len(names) - 1} others")
    elif kind == "leave":
        say(text=f"* {names.pop(id)} has left")
    elif "text" in event:  # else it is no text
        for text in event["text"].splitlines():
            if text.startswith("/nick "):
                old, names[id] = names[id], text[6:].strip()[:20]
                say(id=id, name=names[id])
                say(text=f"* {old} is now {names[id]}")
            else:
                say(**{"except": id}, text=f"<{names[id]}> {text}")
