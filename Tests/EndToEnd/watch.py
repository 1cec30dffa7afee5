"""Asks a gateway for its models again and again, and sees processes die, in a process of its own: what it sees waits for no
other thread of the tests.

`watch.py HOST:PORT`, the request's headers as one line of JSON on stdin, then the pid of each process to watch. Lines on
stdout: each answer is `[asked, answered, [id, …]]`, of a process `["watched", when, pid]` and `["dead", when, pid]` tell; in
seconds of the monotonic clock, which all processes share. It ends with its stdin.
"""

import http.client
import json
import os
import select
import sys
import time


def main():
    address, headers = sys.argv[1], json.loads(sys.stdin.buffer.raw.readline())
    try:
        # Ahead of the load, so that its own waiting for a processor is not measured.
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        pass
    watched = {}  # pids by their pidfds
    connection = None
    while True:
        for ready in select.select([sys.stdin.fileno(), *watched], [], [], 0.002)[0]:
            if ready in watched:
                print(json.dumps(["dead", time.monotonic(), watched.pop(ready)]), flush=True)
                os.close(ready)
                continue
            line = sys.stdin.buffer.raw.readline()
            if not line:
                return
            watched[os.pidfd_open(int(line))] = int(line)
            print(json.dumps(["watched", time.monotonic(), int(line)]), flush=True)
        asked = time.monotonic()
        try:
            connection = connection or http.client.HTTPConnection(address, timeout=25)
            connection.request("GET", "/v1/models", headers=headers)
            ids = [card["id"] for card in json.loads(connection.getresponse().read())["data"]]
            print(json.dumps([asked, time.monotonic(), ids]), flush=True)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            if connection:
                connection.close()
            connection = None


main()
