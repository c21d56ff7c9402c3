package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"concert"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// # Shared values
//
// A client stores a shared value once, in the stream of large values. The
// message of a task lists the values to which its argument refers. Each
// worker downloads a value once: see shared.go of package worker.
//
//	first argument with the handle --Share--> Executor.shared
//	task: send, uploadArg --upload, once for all calls--> BlobStream
//	      publish --task with ID, name, size and digest--> worker
//
//	Close of the handle --release--> the parts are deleted
//
// The servers delete values that have reached the maximum age of the stream.
// So the values of a client that has died do not stay. A client that still
// runs uploads a value again after half of this age.
//
// If the servers lose a value, a worker reports the ID of the value. Then the
// client uploads the value again, and sends the call again, as after the loss
// of a large argument. If the handle is closed, the call fails.

// sharedValue is a value that this client stores for its calls. Its states:
//
//	not stored --> uploading --> stored --> uploading again, after half of its age
//	    ^             |            |
//	    +-------------+------------+   the upload failed, or a worker reports the loss
type sharedValue struct {
	id    executor.SharedID
	name  string // of the parts; unknown to other clients
	value executor.Encoded
	ctx   context.Context // ends when the value is released
	stop  context.CancelFunc

	// Guarded by the executor's mu:
	users    int            // the number of executor.Stored of the value that were not released
	ref      wire.Value     // valid if stored is true
	stored   bool           // the servers have stored the value
	storedAt time.Time      // when the last upload began
	upload   *pendingUpload // nil if the value is not being uploaded
}

// pendingUpload is an upload that has not ended.
type pendingUpload struct {
	done chan struct{} // closed when the upload has ended
	err  error         // set before done is closed
}

// SharedGroup implements executor.LateSharer.
func (e *Executor) SharedGroup() *executor.WorkerGroup { return e.group }

// Share implements executor.LateSharer. It does not upload the value: the first
// call that uses the value does.
func (e *Executor) Share(_ context.Context, encode func(executor.SharedCodec) (executor.Encoded, error)) (*executor.Stored, error) {
	value, err := encode(nil)
	if err != nil {
		return nil, err
	}
	var id executor.SharedID
	rand.Read(id[:])
	return e.storeShared(id, value)
}

// RelayShared implements executor.SharedRelayer.
func (e *Executor) RelayShared(_ context.Context, id executor.SharedID, value executor.Encoded) (*executor.Stored, error) {
	return e.storeShared(id, value)
}

func (e *Executor) storeShared(id executor.SharedID, value executor.Encoded) (*executor.Stored, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.settled {
		return nil, concert.ErrClosed
	}
	v := e.shared[id]
	if v == nil {
		v = &sharedValue{id: id, name: wire.ArgumentName(e.client), value: value}
		v.ctx, v.stop = context.WithCancel(e.ctx)
		if len(value.Bytes) == 0 {
			v.ref, v.stored = wire.Value{Encoded: executor.Encoded{Kind: value.Kind}}, true
		}
		e.shared[id] = v
	}
	v.users++
	return &executor.Stored{ID: id, Group: e.group, Release: func() { e.releaseShared(v) }}, nil
}

// releaseShared removes a user of a value. With the last user, it deletes the
// value from the servers. If the value is being uploaded, the upload is
// canceled, and its parts are deleted.
func (e *Executor) releaseShared(v *sharedValue) {
	e.mu.Lock()
	if e.shared[v.id] != v { // the executor has ended
		e.mu.Unlock()
		return
	}
	v.users--
	last := v.users == 0
	if last {
		delete(e.shared, v.id)
	}
	e.mu.Unlock()
	if last {
		e.deleteShared(v)
	}
}

// deleteShared deletes a value that is not in Executor.shared.
func (e *Executor) deleteShared(v *sharedValue) {
	v.stop()
	e.mu.Lock()
	ref := v.ref
	e.mu.Unlock()
	if ref.Blob != "" {
		e.conn.Delete(ref)
	}
}

// deleteAllShared deletes all values. The executor has ended, and no upload
// runs.
func (e *Executor) deleteAllShared() {
	e.mu.Lock()
	all := e.shared
	e.shared = nil
	e.mu.Unlock()
	for _, v := range all {
		e.deleteShared(v)
	}
}

// setSharedLocked sets the shared values of a call. It reports false if one of
// them is not stored.
func (e *Executor) setSharedLocked(c *call, s *subscriber) bool {
	if !s.batch.UsesShared() {
		c.values = nil
		return true
	}
	refs, stored := e.sharedRefsLocked(s)
	if stored {
		c.values, c.valuesAt = refs, time.Now()
	}
	return stored
}

// sharedRefsLocked returns the shared values of a subscriber's argument, for
// the message of its call. It reports false if one of them is not stored.
func (e *Executor) sharedRefsLocked(s *subscriber) (refs []wire.SharedValue, stored bool) {
next:
	for has := range s.batch.Shared {
		v := e.shared[has.ID]
		if v == nil || !v.stored {
			return nil, false
		}
		for _, r := range refs {
			if r.ID == v.id {
				continue next
			}
		}
		refs = append(refs, wire.SharedValue{ID: v.id, Value: v.ref})
	}
	return refs, true
}

// uploadShared waits until the shared values of a subscriber's argument are
// stored. If a value is not stored, and no upload of it runs, uploadShared
// starts an upload.
func (e *Executor) uploadShared(ctx context.Context, s *subscriber) error {
	for has := range s.batch.Shared {
		if err := s.batch.SharedClosed(); err != nil {
			return err
		}
		e.mu.Lock()
		v := e.shared[has.ID]
		if v == nil {
			e.mu.Unlock()
			if err := s.batch.SharedClosed(); err != nil { // the handle was closed just now
				return err
			}
			return fmt.Errorf("cluster: a shared value for %s was released before the call was sent", s.batch.Name)
		}
		if v.stored {
			e.mu.Unlock()
			continue
		}
		u := e.startUploadLocked(v)
		e.mu.Unlock()
		select {
		case <-u.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.batch.SharedClosed(); err != nil {
			return err
		}
		if u.err != nil {
			return fmt.Errorf("cluster: uploading a shared value for %s: %w", s.batch.Name, u.err)
		}
	}
	return s.batch.SharedClosed()
}

// startUploadLocked starts an upload of a value, unless one runs, and returns
// the upload.
func (e *Executor) startUploadLocked(v *sharedValue) *pendingUpload {
	if v.upload != nil {
		return v.upload
	}
	u := &pendingUpload{done: make(chan struct{}), err: context.Canceled}
	v.upload = u
	begin := time.Now()
	e.background.Go(func() {
		ref, err := e.conn.Upload(v.ctx, v.name, v.value)
		e.mu.Lock()
		v.upload, u.err = nil, err
		released := e.shared[v.id] != v
		if v.stored = err == nil; err == nil {
			v.ref, v.storedAt = ref, begin
		}
		e.mu.Unlock()
		if released && err == nil { // during the upload
			e.conn.Delete(ref)
		}
		close(u.done)
	})
	return u
}

// onMissing handles the report of a worker that the servers do not have a
// shared value of a call. It marks the value as not stored. Then the next
// call that uses the value uploads it. But if the last upload began after
// the message of this call was made, onMissing does not change the mark. It
// returns an error if the handle of the value is closed.
func (e *Executor) onMissing(c *call, id []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for has := range c.subscribers[0].batch.Shared {
		if v := e.shared[has.ID]; v != nil && bytes.Equal(v.id[:], id) && v.stored && v.ref.Blob != "" && v.storedAt.Before(c.valuesAt) {
			v.stored = false
		}
	}
	return c.subscribers[0].batch.SharedClosed()
}

// renewShared uploads values again that have reached half of the age at which
// the servers delete large values.
func (e *Executor) renewShared() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.shared {
		if v.stored && v.ref.Blob != "" && time.Since(v.storedAt) > e.conn.Times.ValueAge/2 {
			e.startUploadLocked(v)
		}
	}
}
