"""Serves the functions of pool.py as JSON over HTTP, a common way to call Python from other languages.

python3 server.py prints its port, and serves until its standard input ends.
"""
import http.server
import json
import os
import sys
import threading

import pool


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"result": getattr(pool, call["function"])(call["argument"])}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def wait():
    sys.stdin.read()
    os._exit(0)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=wait, daemon=True).start()
print(server.server_port, flush=True)
server.serve_forever()
