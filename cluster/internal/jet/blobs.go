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
)

const (
	maxBlobBytes       = 1 << 30         // bytes of an argument or a result
	maxConcurrentParts = 16              // that are on their way at a time
	ReplicaLag         = 2 * time.Second // that a server may be behind the others
)

// ErrTooLarge is cluster.ErrTooLarge.
var ErrTooLarge = concert.RegisterError("cluster.ErrTooLarge", errors.New("cluster: value larger than 1 GiB"))

// ErrAbsent is wrapped by the error of something large that is not there any
// more. It is registered, as workers tell clients.
var ErrAbsent = concert.RegisterError("cluster.errAbsent", errors.New("cluster: it is no longer stored"))

// Upload stores what is too large for a message under a name, in parts, and
// returns how it travels. While servers are away it waits.
func (c *Conn) Upload(ctx context.Context, name string, v concert.Encoded) (wire.Value, error) {
	if len(v.Bytes) > maxBlobBytes {
		return wire.Value{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(v.Bytes))
	}
	sum := sha256.Sum256(v.Bytes)
	to := wire.Value{Kind: v.Kind, Blob: name, Size: len(v.Bytes), Sum: sum[:]}
	ctx, fail := context.WithCancelCause(ctx) // the first part that cannot be stored ends the others
	defer fail(nil)
	places := make(chan struct{}, maxConcurrentParts)
	var storing sync.WaitGroup
	n := 0
	for part := range slices.Chunk(v.Bytes, wire.PartBytes) {
		msg := &nats.Msg{Subject: wire.BlobSubject(to.Blob, n), Data: part}
		n++
		places <- struct{}{}
		storing.Go(func() {
			defer func() { <-places }()
			err := c.RetryTransient(ctx, func(ctx context.Context) error {
				_, err := c.JS.PublishMsg(ctx, msg) // if it comes twice, the second one takes the place of the first
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

// Download returns a value, whose parts it gets if it did not travel in the
// message; while servers are away it waits. The name of the parts must be one
// of the client, as owns reports: a task that names the parts of another client
// would have them read to it. An error that wraps ErrAbsent is for good.
func (c *Conn) Download(ctx context.Context, client string, v wire.Value, owns func(client, name string) bool) (concert.Encoded, error) {
	if v.Blob == "" {
		return concert.Encoded{Kind: v.Kind, Bytes: v.Bytes}, nil
	}
	last, err := c.lastPart(ctx, client, v, owns)
	if err != nil {
		return concert.Encoded{}, err
	}
	b := make([]byte, v.Size) // allocated once: a growing buffer would need several times as much
	end := v.Size - len(last)
	copy(b[end:], last)
	for n := 0; n*wire.PartBytes < end; n++ {
		part, err := c.part(ctx, v, n)
		if err != nil {
			return concert.Encoded{}, err
		}
		copy(b[n*wire.PartBytes:], part)
	}
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], v.Sum) {
		return concert.Encoded{}, fmt.Errorf("%w: %s is not what was stored", ErrAbsent, v.Blob)
	}
	return concert.Encoded{Kind: v.Kind, Bytes: b}, nil
}

// CheckSize returns an error unless the last part of a value is stored and has
// the length that follows from the size of the value. So a message that claims
// a size, but has no parts, is refused before memory is allocated. The errors
// are those of fetch.
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

// part returns part n of a value, counted from 0. It waits while the servers
// cannot be reached.
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

// LastMessage returns the last message of a subject. It asks any of the servers that
// have the stream, and a replica may lag behind. So LastMessage asks again for the
// time of patience before it reports that a message is missing. This time
// begins with the first server that has no message: one that was stopped for
// seconds answers late, and lags behind then.
func (c *Conn) LastMessage(ctx context.Context, stream, subject string, patience time.Duration) (*nats.Msg, error) {
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
		case time.Since(first) >= patience:
			return nil, fmt.Errorf("%w: %s", ErrAbsent, subject)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// DeleteUnverified is discard for a value whose size another program claims. It
// does not trust this size: if the last part is not stored, it removes nothing.
func (c *Conn) DeleteUnverified(ctx context.Context, client string, v wire.Value, owns func(client, name string) bool) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	if c.CheckSize(ctx, client, v, owns) == nil {
		c.Delete(v)
	}
}

// Delete removes what stow has put there: an empty message takes the place of
// each part, and goes by itself. What does not get to the servers is removed by
// age.
func (c *Conn) Delete(v wire.Value) {
	for n := 0; n*wire.PartBytes < v.Size; n++ {
		c.NC.PublishMsg(&nats.Msg{Subject: wire.BlobSubject(v.Blob, n), Header: nats.Header{jetstream.MsgTTLHeader: {"1s"}}})
	}
}
