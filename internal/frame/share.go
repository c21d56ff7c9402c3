package frame

import "concert/executor"

// MaxShareHead is the maximum number of bytes that a Share has in addition
// to the bytes of its value.
const MaxShareHead = HeaderSize + sharedIDSize + 2 + spanSize

const sharedIDSize = len(executor.SharedID{})

// AppendShare appends a Share: the ID of a shared value, and the value. If
// p.Shared is set, the value is in a file that follows through the socket of
// shared values, and p.Span.Length is its length. Otherwise, the parameter
// bytes is the number of payload bytes that the caller itself writes after
// the frame, as for AppendArg.
func AppendShare(b []byte, id executor.SharedID, p Payload, bytes int) []byte {
	start := len(b)
	b = append(begin(b, Share), id[:]...)
	b = end(appendPayload(b, p), start)
	Lengthen(b, start, bytes)
	return b
}

// ParseShare parses the body of a Share. p.Bytes is a part of b, not a copy.
func ParseShare(b []byte) (id executor.SharedID, p Payload, err error) {
	if len(b) < sharedIDSize {
		return id, p, bad("shared value of %d bytes", len(b))
	}
	p, err = parsePayload(b[sharedIDSize:], inShared)
	if err == nil && p.Shared {
		err = p.checkFile()
	}
	return executor.SharedID(b), p, err
}

// AppendUnshare appends an Unshare.
func AppendUnshare(b []byte, id executor.SharedID) []byte {
	start := len(b)
	return end(append(begin(b, Unshare), id[:]...), start)
}

// ParseUnshare parses the body of an Unshare.
func ParseUnshare(b []byte) (id executor.SharedID, err error) {
	if len(b) != sharedIDSize {
		return id, bad("unshare of %d bytes", len(b))
	}
	return executor.SharedID(b), nil
}
