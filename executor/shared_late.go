package executor

import (
	"context"
	"sync"

	"concert/internal/values"
)

// LateSharer is a [Sharer] whose workers may be programs in several languages.
// A form of a value is its encoding by one codec. concert.Share does not know
// which codecs will be used, so it stores nothing. When an argument with the
// handle is encoded for this executor, the encoder calls Share, unless the
// executor has the form for the codec of the function already.
//
//	handle --first argument for Go----> Share, an ID --+
//	       --first argument for Python> Share, an ID --+--> Close releases all
//
// Share may call its argument encode with any codec, because encode ignores it:
// the function of the task decides the codec.
type LateSharer interface {
	Sharer
	// SharedGroup returns the group of the executor.
	SharedGroup() *WorkerGroup
}

// maxLateReferences is the maximum number of references in an argument for a
// [LateSharer]. Further handles are encoded as their values. A message with the
// argument describes each value, and has a maximum size.
const maxLateReferences = 256

// lateForms contains the stored forms of one value: one form for each codec
// that has encoded an argument with the handle. See LateSharer.
type lateForms struct {
	sharer Sharer
	group  *WorkerGroup

	mu     sync.Mutex // held while the value is encoded
	forms  []lateForm // guarded by mu
	closed bool       // guarded by mu
}

type lateForm struct {
	codec  SharedCodec // nil if no codec has encoded the value
	stored *Stored
}

// formOf returns the codec that identifies the form of a value for the codec
// of a function. It returns nil for text, bytes and slices of numbers, which
// all codecs encode in the same way.
func formOf(h sharedHandle, codec SharedCodec) SharedCodec {
	if _, plain := encodePlain(h.sharedValue()); plain {
		return nil
	}
	return codec
}

// store returns the form for a codec. If the executor does not have the form,
// store encodes and stores the value. If w permits only small values, and this
// may take long, the error is values.ErrLarge.
func (l *lateForms) store(w values.Work, h sharedHandle, codec SharedCodec) (*Stored, error) {
	codec = formOf(h, codec)
	if !w.Small {
		l.mu.Lock()
	} else if !l.mu.TryLock() {
		return nil, values.ErrLarge // another goroutine encodes the value
	}
	defer l.mu.Unlock()
	if l.closed {
		return nil, errSharedClosed
	}
	if stored := l.findLocked(codec); stored != nil {
		return stored, nil
	}
	stored, err := l.sharer.Share(context.Background(), func(SharedCodec) (Encoded, error) {
		return h.encodeForm(values.Work{Small: w.Small, Over: w.Over}, codec)
	})
	if err != nil {
		return nil, err
	}
	l.forms = append(l.forms, lateForm{codec, stored})
	return stored, nil
}

// has reports whether the executor has the form for a codec.
func (l *lateForms) has(h sharedHandle, codec SharedCodec) bool {
	codec = formOf(h, codec)
	if !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	return l.findLocked(codec) != nil
}

func (l *lateForms) findLocked(codec SharedCodec) *Stored {
	for _, f := range l.forms {
		if codec == nil && f.codec == nil || codec != nil && f.codec != nil && sameCodec(codec, f.codec) {
			return f.stored
		}
	}
	return nil
}

// close releases the forms. While another goroutine encodes the value, close
// does not wait: that goroutine may run methods of the program.
func (l *lateForms) close() {
	if l.mu.TryLock() {
		l.releaseLocked()
		return
	}
	go func() {
		l.mu.Lock()
		l.releaseLocked()
	}()
}

// releaseLocked releases the forms, and unlocks mu.
func (l *lateForms) releaseLocked() {
	forms := l.forms
	l.forms, l.closed = nil, true
	l.mu.Unlock()
	for _, f := range forms {
		f.stored.Release()
	}
}

// encodeForm encodes the value of a handle that is not zero.
func (s Shared[T]) encodeForm(w values.Work, codec SharedCodec) (e Encoded, err error) {
	if codec == nil {
		e, _, err = encodeTo(w, nil, s.h.value, nil)
	} else {
		e, _, err = encodeTo(w, nil, s.h.value, forSharer{codec})
	}
	return e, err
}
