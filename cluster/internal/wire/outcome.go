package wire

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

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

// Encode returns the message.
func (o *Outcome) Encode() []byte {
	msg := make(fields, 0, 192+len(o.ID.Client)+len(o.Err)+len(o.Value.Bytes))
	o.ID.put(&msg)
	msg.bytes(4, o.Err)
	msg.boolean(5, o.Dropped)
	msg.boolean(6, o.Dead)
	msg.number(7, int64(o.Slot))
	msg.text(8, o.WorkerID)
	msg.number(9, int64(o.Took))
	msg.text(10, o.Try)
	msg.boolean(11, o.Stopped)
	o.Value.put(&msg)
	return msg
}

// DecodeOutcome decodes a message of Outcome.Encode.
func DecodeOutcome(msg []byte) (o Outcome, err error) {
	err = readFields(msg, func(n protowire.Number, b []byte, v int64) {
		switch n {
		case 4:
			o.Err = b
		case 5:
			o.Dropped = v != 0
		case 6:
			o.Dead = v != 0
		case 7:
			o.Slot = int(v)
		case 8:
			o.WorkerID = string(b)
		case 9:
			o.Took = time.Duration(v)
		case 10:
			o.Try = string(b)
		case 11:
			o.Stopped = v != 0
		default:
			o.ID.take(n, b)
			o.Value.take(n, b, v)
		}
	})
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

// Encode returns the message.
func (h *Hint) Encode() []byte {
	msg := make(fields, 0, 96)
	msg.text(1, h.Number)
	msg.number(2, int64(h.Slot))
	msg.text(3, h.WorkerID)
	msg.number(4, h.Done)
	msg.number(5, h.Total)
	msg.boolean(6, h.Retrying)
	return msg
}

// DecodeHint decodes a message of Hint.Encode.
func DecodeHint(msg []byte) (h Hint, err error) {
	err = readFields(msg, func(n protowire.Number, b []byte, v int64) {
		switch n {
		case 1:
			h.Number = string(b)
		case 2:
			h.Slot = int(v)
		case 3:
			h.WorkerID = string(b)
		case 4:
			h.Done = v
		case 5:
			h.Total = v
		case 6:
			h.Retrying = v != 0
		}
	})
	return h, err
}
