package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// sharedValues are the shared values that the pool has sent to this worker. The
// loop handles their frames between calls; see shared.go of package processes.
type sharedValues struct {
	socket *os.File                     // nil: there is none
	mapped map[executor.SharedID][]byte // the memory of the values that are files; nil if it could not be mapped
}

// frame handles a frame if it is a Share or an Unshare, and otherwise
// returns an error.
func (s *sharedValues) frame(kind frame.Type, body []byte) error {
	switch kind {
	case frame.Share:
		return s.share(body)
	case frame.Unshare:
		return s.unshare(body)
	}
	return fmt.Errorf("%w: type %q", frame.ErrFrame, kind)
}

func (s *sharedValues) share(body []byte) error {
	id, p, err := frame.ParseShare(body)
	if err != nil {
		return err
	}
	value := p.Encoded
	var failure error // the error of all calls that use the value
	if p.Shared {
		if s.socket == nil {
			return fmt.Errorf("%w: a file of a shared value, for which this worker has no socket", frame.ErrFrame)
		}
		file, err := shm.ReceiveFile(s.socket)
		switch {
		case errors.Is(err, shm.ErrNoDescriptor):
			failure = err
		case err != nil:
			return fmt.Errorf("receive a shared value: %w", err)
		default:
			value.Bytes, failure = shm.MapSealed(file, int(p.Span.Length))
			file.Close()
		}
	} else {
		value.Bytes = bytes.Clone(value.Bytes) // the reader reuses its memory
	}
	if !executor.KeepShared(id, value, failure) {
		return fmt.Errorf("%w: a second shared value with the ID %x", frame.ErrFrame, id)
	}
	if p.Shared {
		if s.mapped == nil {
			s.mapped = make(map[executor.SharedID][]byte)
		}
		s.mapped[id] = value.Bytes
	}
	return nil
}

func (s *sharedValues) unshare(body []byte) error {
	id, err := frame.ParseUnshare(body)
	if err != nil {
		return err
	}
	if !executor.ForgetShared(id) {
		return fmt.Errorf("%w: unknown shared value with the ID %x", frame.ErrFrame, id)
	}
	shm.Unmap(s.mapped[id])
	delete(s.mapped, id)
	return nil
}
