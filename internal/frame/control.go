package frame

// This file has the frames that contain neither calls nor outcomes. A worker
// starts by these frames. Later, both sides use them to report or request
// something about a call that was sent before.

// Reason is the reason of a cancellation.
type Reason byte

// The reasons of a cancellation.
const (
	Canceled Reason = 1 // context.Canceled
	Expired  Reason = 2 // context.DeadlineExceeded
)

// AppendCancel appends a Cancel.
func AppendCancel(b []byte, id ID, why Reason) []byte {
	start := len(b)
	b = appendID(begin(b, Cancel), id)
	return end(append(b, byte(why)), start)
}

// ParseCancel parses the body of a Cancel.
func ParseCancel(b []byte) (id ID, why Reason, err error) {
	if len(b) != 9 {
		return id, 0, bad("cancel of %d bytes", len(b))
	}
	return parseID(b), Reason(b[8]), nil
}

const magic = "concert"

// HelloBody is the body of a Hello.
type HelloBody struct {
	Version uint32
	Flags   uint32
}

// Slots, a bit of HelloBody.Flags, means that the worker begins calls by
// compare-and-swap of the slots of the journal; see shm.Journal.
const Slots = 1

// Marks, a bit of HelloBody.Flags, means that the worker sets marks: before
// it begins a call, it stores the index of the call in a slot of the
// journal. The pool must not write to the slots.
const Marks = 2

// Gate, a bit of HelloBody.Flags, means that the worker reads the gate of
// the journal after it has set a mark. The gate is the number of TakeBack
// frames that the pool has sent. The worker begins the call only after it
// has received this number of TakeBack frames.
const Gate = 4

// Lists, a bit of HelloBody.Flags, means that the worker reads CallList, and
// stores small results in the list of the journal. The worker sends these
// results by ResultList.
const Lists = 8

// Files, a bit of HelloBody.Flags, means that the worker reads CallMapped. A
// worker in Go does not need CallMapped: it knows from the type of a result
// whether the result is mapped.
const Files = 16

// Traces, a bit of HelloBody.Flags, means that the worker reads Trace.
const Traces = 32

// AppendHello appends a Hello.
func AppendHello(b []byte, h HelloBody) []byte {
	start := len(b)
	b = append(begin(b, Hello), magic...)
	return end(le.AppendUint32(le.AppendUint32(b, h.Version), h.Flags), start)
}

// ParseHello parses the body of a Hello.
func ParseHello(b []byte) (h HelloBody, err error) {
	if len(b) != len(magic)+8 || string(b[:len(magic)]) != magic {
		return h, bad("hello of %d bytes", len(b))
	}
	b = b[len(magic):]
	return HelloBody{le.Uint32(b), le.Uint32(b[4:])}, nil
}

// AppendWatch appends a Watch.
func AppendWatch(b []byte) []byte { return end(begin(b, Watch), len(b)) }

// AppendReady appends a Ready.
func AppendReady(b []byte) []byte { return end(begin(b, Ready), len(b)) }

// AppendBroken appends a Broken with an error that executor.EncodeError has
// encoded.
func AppendBroken(b, failure []byte) []byte { return end(append(begin(b, Broken), failure...), len(b)) }

// AppendID appends a frame whose body is the ID of a call: Started, TakeBack or
// GivenBack.
func AppendID(b []byte, t Type, id ID) []byte { return end(appendID(begin(b, t), id), len(b)) }

// ParseID parses the body of a frame that AppendID has appended.
func ParseID(b []byte) (id ID, err error) {
	if len(b) != 8 {
		return id, bad("call of %d bytes", len(b))
	}
	return parseID(b), nil
}

// ProgressBody is the body of a Progress; see concert.Progress.
type ProgressBody struct {
	ID          ID
	Done, Total int64
}

// AppendProgress appends a Progress.
func AppendProgress(b []byte, p ProgressBody) []byte {
	start := len(b)
	b = appendID(begin(b, Progress), p.ID)
	b = le.AppendUint64(b, uint64(p.Done))
	return end(le.AppendUint64(b, uint64(p.Total)), start)
}

// ParseProgress parses the body of a Progress.
func ParseProgress(b []byte) (p ProgressBody, err error) {
	if len(b) != 24 {
		return p, bad("progress of %d bytes", len(b))
	}
	return ProgressBody{parseID(b), int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:]))}, nil
}
