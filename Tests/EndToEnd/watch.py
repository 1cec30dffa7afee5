"""Asks a gateway for its models again and again, in a process of its own: what it sees waits for no other thread of the tests.

`watch.py HOST:PORT`, the request's headers as one line of JSON on stdin. Each answer is a line on stdout: `[asked, answered,
[id, …]]`, in seconds of the monotonic clock, which all processes share. It ends with its stdin.
"""

import http.client
import json
import os
import select
import sys
import time


def main():
    address, headers = sys.argv[1], json.loads(sys.stdin.readline())
    try:
        # Ahead of the load, so that its own waiting for a processor is not measured.
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        pass
    connection = None
    while not select.select([sys.stdin], [], [], 0.002)[0]:
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
