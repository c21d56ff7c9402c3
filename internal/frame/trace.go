package frame

import "concert/executor"

// AppendTrace appends a Trace: the text for distributed tracing of the calls in
// the next Call, CallList or CallMapped. The text has from 1 up to
// executor.MaxTrace bytes.
func AppendTrace(b []byte, text string) []byte {
	start := len(b)
	return end(append(begin(b, Trace), text...), start)
}

// ParseTrace parses the body of a Trace.
func ParseTrace(b []byte) (text string, err error) {
	if len(b) == 0 || len(b) > executor.MaxTrace {
		return "", bad("trace of %d bytes, want from 1 up to %d", len(b), executor.MaxTrace)
	}
	return string(b), nil
}
