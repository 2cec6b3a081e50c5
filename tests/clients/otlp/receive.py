"""An OpenTelemetry collector as far as traces by OTLP over HTTP go, with OpenTelemetry's own message classes.

Prints its address, then each request it takes as a line of JSON. It is out of order at first: the first request gets
503, as from a collector that is restarted.
"""

import http.server
import sys

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collector(http.server.BaseHTTPRequestHandler):
    refused = False

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not Collector.refused:
            Collector.refused = True
            self.answer(503, b"")
            return
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            self.answer(400, b"")
            return
        request = ExportTraceServiceRequest.FromString(body)
        print(MessageToJson(request, indent=None), flush=True)
        self.answer(200, ExportTraceServiceResponse().SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
