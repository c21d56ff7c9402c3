package wire

import "time"

// Outcome is a result as a message.
type Outcome struct {
	ID       TaskID        // 1 to 3
	Err      []byte        // 4: by executor.EncodeError
	Dropped  bool          // 5: the function was not called
	Dead     bool          // 6: the task is a dead letter
	Slot     int           // 7: the slot of the worker
	WorkerID string        // 8
	Took     time.Duration // 9: in nanoseconds
	Try      string        // 10: set if the outcome is for one submission only, and is not kept: it was dropped or stopped
	Stopped  bool          // 11: the context of the function had ended
	Value    Value         // 16 to 20
}

func (o *Outcome) fields(m *message) {
	o.ID.fields(m)
	m.bytes(4, &o.Err)
	m.boolean(5, &o.Dropped)
	m.boolean(6, &o.Dead)
	number(m, 7, &o.Slot)
	m.text(8, &o.WorkerID)
	number(m, 9, &o.Took)
	m.text(10, &o.Try)
	m.boolean(11, &o.Stopped)
	o.Value.fields(m)
}

// Encode returns the message.
func (o *Outcome) Encode() []byte {
	m := message{encoded: make([]byte, 0, 192+len(o.ID.Client)+len(o.Err)+len(o.Value.Bytes))}
	o.fields(&m)
	return m.encoded
}

// DecodeOutcome decodes a message of Outcome.Encode.
func DecodeOutcome(msg []byte) (o Outcome, err error) {
	var m message
	err = m.parse(msg)
	o.fields(&m)
	return o, err
}

// Hint reports that a task runs, or its progress. It may be lost.
type Hint struct {
	Number   string // 1: of the task
	Slot     int    // 2
	WorkerID string // 3
	Done     int64  // 4
	Total    int64  // 5
	Retrying bool   // 6: the attempt has failed, and the task waits for the next one
}

func (h *Hint) fields(m *message) {
	m.text(1, &h.Number)
	number(m, 2, &h.Slot)
	m.text(3, &h.WorkerID)
	number(m, 4, &h.Done)
	number(m, 5, &h.Total)
	m.boolean(6, &h.Retrying)
}

// Encode returns the message.
func (h *Hint) Encode() []byte {
	m := message{encoded: make([]byte, 0, 96)}
	h.fields(&m)
	return m.encoded
}

// DecodeHint decodes a message of Hint.Encode.
func DecodeHint(msg []byte) (h Hint, err error) {
	var m message
	err = m.parse(msg)
	h.fields(&m)
	return h, err
}
