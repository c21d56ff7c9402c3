package frame

import (
	"time"

	"concert/executor"
)

// This file encodes many arguments or results of the same kind. Such a frame
// has the kind once, then the sizes of the values, and then their bytes. If
// all values of the kind have the same size, the frame has no sizes.

const (
	// MaxList is the maximum number of calls in a CallList.
	MaxList = 1024

	// MaxListed is the maximum size in bytes of a value that is sent in a
	// CallList or a ResultList.
	MaxListed = 1 << 10
)

// CanList reports whether a value can be in a CallList or a ResultList.
func CanList(e executor.Encoded) bool {
	size := executor.FixedSize(e.Kind)
	return size > 0 && len(e.Bytes) == size || size == 0 && len(e.Bytes) <= MaxListed
}

// AppendCallList appends a CallList. All arguments must have the same kind, and
// CanList must be true for them.
func AppendCallList(b []byte, h CallHead, args []executor.Encoded) []byte {
	start, kind := len(b), args[0].Kind
	b = append(appendHead(begin(b, CallList), h), kind)
	if executor.FixedSize(kind) == 0 {
		for i := range args {
			b = le.AppendUint16(b, uint16(len(args[i].Bytes)))
		}
	}
	for i := range args {
		b = append(b, args[i].Bytes...)
	}
	return end(b, start)
}

// ParseCallList parses the part of a CallList that follows the CallHead. The
// parameter count is CallHead.Count. The result is a part of b, not a copy.
func ParseCallList(b []byte, count int) (executor.List, error) {
	if len(b) < 1 {
		return executor.List{}, bad("CallList without a kind")
	}
	return parseList(b[1:], b[0], count)
}

// parseList parses the sizes and the bytes of values.
func parseList(b []byte, kind byte, count int) (l executor.List, err error) {
	l.Kind = kind
	want := executor.FixedSize(kind) * count
	if want == 0 && len(b) >= 2*count {
		l.Sizes, b = b[:2*count], b[2*count:]
		for i := 0; i < len(l.Sizes); i += 2 {
			size := int(le.Uint16(l.Sizes[i:]))
			if want += size; size > MaxListed {
				return l, bad("a value of %d bytes in a list, want at most %d", size, MaxListed)
			}
		}
	} else if want == 0 {
		return l, bad("sizes of %d values in %d bytes", count, len(b))
	}
	if count == 0 || len(b) != want {
		return l, bad("%d values of kind %d in %d bytes, want %d bytes", count, kind, len(b), want)
	}
	l.Bytes = b
	return l, nil
}

// Results is the body of a ResultList: the results of consecutive calls of a
// frame.
type Results struct {
	ID  ID            // of the first call
	Ran time.Duration // run time of all calls
	executor.List
}

// ResultListHead appends a ResultList without r.Sizes and r.Bytes. The
// caller must write r.Sizes and r.Bytes after it.
func ResultListHead(b []byte, r *Results) []byte {
	start := len(b)
	b = appendID(begin(b, ResultList), r.ID)
	b = append(le.AppendUint64(b, uint64(r.Ran)), r.Kind)
	b = le.AppendUint16(b, uint16(r.Len()))
	return EndCall(b, start, len(r.Sizes)+len(r.Bytes))
}

// ParseResultList parses the body of a ResultList. r.Sizes and r.Bytes are
// parts of b, not copies.
func ParseResultList(b []byte) (r Results, err error) {
	const head = 4 + 4 + 8 + 1 + 2
	if len(b) < head {
		return r, bad("ResultList of %d bytes", len(b))
	}
	r.ID, r.Ran = parseID(b), time.Duration(le.Uint64(b[8:]))
	r.List, err = parseList(b[head:], b[16], int(le.Uint16(b[17:])))
	return r, err
}
