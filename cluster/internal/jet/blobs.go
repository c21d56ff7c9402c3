package jet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster/internal/wire"
	"concert/executor"
)

const (
	maxBlobBytes       = 1 << 30         // maximum size of an argument or a result
	maxConcurrentParts = 16              // maximum number of parts that are published concurrently
	ReplicaLag         = 2 * time.Second // a replica receives a stored message within this time
)

// ErrTooLarge is the value of cluster.ErrTooLarge.
var ErrTooLarge = concert.RegisterError("cluster.ErrTooLarge", errors.New("cluster: value larger than 1 GiB"))

// ErrAbsent is wrapped by the error of a request for a value or a message that
// is not stored. It is registered, because workers send it to clients.
var ErrAbsent = concert.RegisterError("cluster.errAbsent", errors.New("cluster: the value is no longer stored"))

// Upload stores a large value in parts under a name, and returns the wire.Value
// that refers to it. While the servers cannot be reached, it retries.
func (c *Conn) Upload(ctx context.Context, name string, v executor.Encoded) (wire.Value, error) {
	if len(v.Bytes) > maxBlobBytes {
		return wire.Value{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(v.Bytes))
	}
	sum := sha256.Sum256(v.Bytes)
	to := wire.Value{Encoded: executor.Encoded{Kind: v.Kind}, Blob: name, Size: len(v.Bytes), Sum: sum[:]}
	ctx, fail := context.WithCancelCause(ctx) // the first part that fails cancels the others
	defer fail(nil)
	slots := make(chan struct{}, maxConcurrentParts)
	var storing sync.WaitGroup
	n := 0
	for part := range slices.Chunk(v.Bytes, wire.PartBytes) {
		msg := &nats.Msg{Subject: wire.BlobSubject(to.Blob, n), Data: part}
		n++
		slots <- struct{}{}
		storing.Go(func() {
			defer func() { <-slots }()
			err := c.RetryTransient(ctx, func(ctx context.Context) error {
				_, err := c.JS.PublishMsg(ctx, msg) // a second copy replaces the first one
				return err
			})
			if err != nil {
				fail(err)
			}
		})
	}
	storing.Wait()
	if ctx.Err() != nil {
		c.Delete(to)
		return wire.Value{}, context.Cause(ctx)
	}
	return to, nil
}

// Download returns a value. If the value is not in the message, Download
// reads its parts. While the servers cannot be reached, it retries. The
// function owns must report whether the name of the parts belongs to the
// client. Without this check, a client could put the name of another
// client's value into a task, and so read the value. An error that wraps
// ErrAbsent is permanent.
func (c *Conn) Download(ctx context.Context, client string, v wire.Value, owns func(client, name string) bool) (executor.Encoded, error) {
	if v.Blob == "" {
		return v.Encoded, nil
	}
	last, err := c.lastPart(ctx, client, v, owns)
	if err != nil {
		return executor.Encoded{}, err
	}
	b := make([]byte, v.Size) // allocated once: a growing buffer would need several times the memory
	end := v.Size - len(last)
	copy(b[end:], last)
	for n := 0; n*wire.PartBytes < end; n++ {
		part, err := c.part(ctx, v, n)
		if err != nil {
			return executor.Encoded{}, err
		}
		copy(b[n*wire.PartBytes:], part)
	}
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], v.Sum) {
		return executor.Encoded{}, fmt.Errorf("%w: the checksum of %s is wrong", ErrAbsent, v.Blob)
	}
	return executor.Encoded{Kind: v.Kind, Bytes: b}, nil
}

// CheckSize returns an error unless the last part of a value is stored and has
// the length that follows from the size of the value. So a message with a wrong
// size is refused before memory is allocated. CheckSize returns the same errors
// as Download.
func (c *Conn) CheckSize(ctx context.Context, client string, v wire.Value, owns func(client, name string) bool) error {
	_, err := c.lastPart(ctx, client, v, owns)
	return err
}

// lastPart returns the last part of a value. See CheckSize.
func (c *Conn) lastPart(ctx context.Context, client string, v wire.Value, owns func(client, name string) bool) ([]byte, error) {
	if !owns(client, v.Blob) {
		return nil, fmt.Errorf("%w: %q does not belong to %s", ErrAbsent, v.Blob, client)
	}
	if v.Size <= 0 || v.Size > maxBlobBytes {
		return nil, fmt.Errorf("%w: %w: %d bytes", ErrAbsent, ErrTooLarge, v.Size)
	}
	return c.part(ctx, v, (v.Size-1)/wire.PartBytes)
}

// part returns part n of a value, counted from 0. While the servers cannot be
// reached, it retries.
func (c *Conn) part(ctx context.Context, v wire.Value, n int) ([]byte, error) {
	var part *nats.Msg
	err := c.RetryTransient(ctx, func(ctx context.Context) (err error) {
		part, err = c.LastMessage(ctx, wire.BlobStream, wire.BlobSubject(v.Blob, n), ReplicaLag)
		return err
	})
	if err != nil {
		return nil, err
	}
	if want := min(wire.PartBytes, v.Size-n*wire.PartBytes); len(part.Data) != want {
		return nil, fmt.Errorf("%w: part %d of %s has %d bytes instead of %d", ErrAbsent, n, v.Blob, len(part.Data), want)
	}
	return part.Data, nil
}

// LastMessage returns the last message of a subject. Any server that has a
// replica of the stream may answer, and this replica may not have the
// message yet. So if the answer is that there is no message, LastMessage
// repeats the request for the duration lag, and then returns ErrAbsent. The
// duration begins with the first answer, because a server that was suspended
// for seconds answers late, and its replica lacks recent messages at that
// moment.
func (c *Conn) LastMessage(ctx context.Context, stream, subject string, lag time.Duration) (*nats.Msg, error) {
	for first := (time.Time{}); ; {
		once, cancel := context.WithTimeout(ctx, RequestTimeout)
		msg, err := c.NC.RequestWithContext(once, c.api+"DIRECT.GET."+stream+"."+subject, nil)
		cancel()
		if first.IsZero() {
			first = time.Now()
		}
		switch {
		case err != nil:
			return nil, err
		case msg.Header.Get("Status") == "":
			return msg, nil
		case msg.Header.Get("Status") != "404":
			return nil, fmt.Errorf("%w: %s: %s %s", ErrAbsent, subject, msg.Header.Get("Status"), msg.Header.Get("Description"))
		case time.Since(first) >= lag:
			return nil, fmt.Errorf("%w: %s", ErrAbsent, subject)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// DeleteUnverified is Delete for a value whose size another program has
// sent. If the size is wrong, Delete could send very many messages. So
// DeleteUnverified checks the size: if the last part is not stored, it
// deletes nothing.
func (c *Conn) DeleteUnverified(ctx context.Context, client string, v wire.Value, owns func(client, name string) bool) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	if c.CheckSize(ctx, client, v, owns) == nil {
		c.Delete(v)
	}
}

// Delete deletes the parts of a value: it replaces each part by an empty
// message that expires soon. If this message does not arrive, the part expires
// later.
func (c *Conn) Delete(v wire.Value) {
	for n := 0; n*wire.PartBytes < v.Size; n++ {
		c.NC.PublishMsg(&nats.Msg{Subject: wire.BlobSubject(v.Blob, n), Header: nats.Header{jetstream.MsgTTLHeader: {"1s"}}})
	}
}
