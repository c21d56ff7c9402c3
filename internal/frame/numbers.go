package frame

import (
	"time"

	"concert/executor"
)

// This file encodes many arguments or results that are numbers of the same
// kind. Such a frame contains the kind once, and then 8 bytes for each number.

// NumberSize is the size in bytes of a number in CallNumbers and ResultNumbers.
const NumberSize = 8

// MaxNumbers is the maximum number of calls in CallNumbers.
const MaxNumbers = 1024

// IsNumber reports whether a value can be in CallNumbers or ResultNumbers.
func IsNumber(e executor.Encoded) bool {
	return executor.IsNumber(e.Kind) && len(e.Bytes) == NumberSize
}

// AppendCallNumbers appends a CallNumbers. All arguments must be numbers of the
// same kind, see IsNumber.
func AppendCallNumbers(b []byte, h CallHead, args []executor.Encoded) []byte {
	start := len(b)
	b = appendHead(begin(b, CallNumbers), h)
	b = append(b, args[0].Kind)
	for _, arg := range args {
		b = append(b, arg.Bytes...)
	}
	return end(b, start)
}

// ParseNumbers parses the part of a CallNumbers that follows the CallHead. The
// parameter count is CallHead.Count. The result numbers is a part of b, not a
// copy.
func ParseNumbers(b []byte, count int) (kind byte, numbers []byte, err error) {
	if len(b) != 1+NumberSize*count || !executor.IsNumber(b[0]) {
		return 0, nil, bad("%d numbers in %d bytes", count, len(b))
	}
	return b[0], b[1:], nil
}

// Numbers is the body of a ResultNumbers: the results of consecutive calls of a
// frame.
type Numbers struct {
	ID     ID            // of the first call
	Ran    time.Duration // run time of all calls
	Kind   byte          // of all numbers
	Values []byte        // NumberSize bytes for each call
}

// Len returns the number of calls.
func (n *Numbers) Len() int { return len(n.Values) / NumberSize }

// Value returns the result of a call; i counts from the first call.
func (n *Numbers) Value(i int) executor.Encoded {
	return executor.Encoded{Kind: n.Kind, Bytes: n.Values[NumberSize*i : NumberSize*(i+1) : NumberSize*(i+1)]}
}

// NumbersHead appends a ResultNumbers without n.Values. The caller must write
// these bytes after it.
func NumbersHead(b []byte, n Numbers) []byte {
	start := len(b)
	b = appendID(begin(b, ResultNumbers), n.ID)
	b = append(le.AppendUint64(b, uint64(n.Ran)), n.Kind)
	return EndCall(b, start, len(n.Values))
}

// ParseResultNumbers parses the body of a ResultNumbers. n.Values is a part of
// b, not a copy.
func ParseResultNumbers(b []byte) (n Numbers, err error) {
	const head = 4 + 4 + 8 + 1
	if len(b) <= head || (len(b)-head)%NumberSize != 0 || !executor.IsNumber(b[head-1]) {
		return n, bad("ResultNumbers with a body of %d bytes: the size or the kind is wrong", len(b))
	}
	return Numbers{parseID(b), time.Duration(le.Uint64(b[8:])), b[head-1], b[head:]}, nil
}
