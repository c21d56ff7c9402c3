"""Makes the span of a call available to functions that report to OpenTelemetry.

The pool sends a text before a frame of calls: a W3C traceparent, and then, if there is a tracestate, a space and
the tracestate. If Python can import the package opentelemetry, the span of the text is the current span of this
package while the calls run. If the package does not accept the text, the current span does not change."""

import importlib

from concert.errors import ProtocolError
from concert.imports import modules, private

importlib = private(importlib)

MAX_TRACE = 512  # maximum number of bytes of a text

CONTEXT, PROPAGATOR = "opentelemetry.context", "opentelemetry.trace.propagation.tracecontext"

missing = False  # the package could not be imported


def parse(frame):
    """Returns the text in a Trace frame."""
    if not 1 < len(frame) <= 1 + MAX_TRACE:
        raise ProtocolError("trace of %d bytes, want from 1 up to %d" % (len(frame) - 1, MAX_TRACE))
    return str(frame[1:], "ascii", "replace")


def split(trace):
    """Returns the traceparent and the tracestate of a text. If the text lacks one of them, None replaces it."""
    if trace is None:
        return None, None
    parent, _, state = trace.partition(" ")
    return parent, state or None


def attach(trace):
    """Makes the span of a text the current span of the package opentelemetry in this thread. Returns a token for
    the function detach, or None."""
    global missing
    try:
        if missing and PROPAGATOR not in modules:
            return None
        context = importlib.import_module(CONTEXT)
        propagator = importlib.import_module(PROPAGATOR).TraceContextTextMapPropagator()
        parent, state = split(trace)
        return context, context.attach(propagator.extract({"traceparent": parent, "tracestate": state or ""}))
    except BaseException:  # another module of this name may even raise SystemExit
        missing = True
        return None


def detach(token):
    """Restores the span that was current before the call of attach."""
    if token is not None:
        try:
            context, before = token
            context.detach(before)
        except Exception:
            pass  # a task has broken the package
