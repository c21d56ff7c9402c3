package download

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Several connections receive one large file as follows:
//
//	           take (1)                  206 (2)               end of the piece (3)
//	division ----------> connection ------------> body --------------------> (take again)
//	    ^                     |                     |
//	    |      yield (4)      | refused, failed     | failed
//	    +---------------------+---------------------+
//
//  1. The first reply of an attempt decides. If the size is known, the
//     validator is strong, and the server supports ranges, the rest of the file
//     is a piece that the first connection receives. Further connections start.
//     An idle connection takes the first pending piece. If there is none, it
//     takes the second half of the largest piece, and the connection of that
//     piece stops at its new end. So fast connections take work from slow ones,
//     and all of them finish at about the same time.
//  2. Each further request has a range and If-Range. The reply must be a 206
//     with exactly this range, the size and the validator of the file.
//  3. A connection writes each byte at its position in the part. The division
//     knows which bytes are missing. The state file records the others.
//     At the end of its piece, it compares the first bytes of the next piece.
//  4. A connection that fails makes its piece pending, waits, and takes a piece
//     again. A connection that the server refuses ends. A connection at the end
//     of its piece continues with the next piece, if its reply contains this
//     piece, and no other connection has a good reply for it.
//
// If a connection fails and no other connection is active, the attempt has
// failed. The next attempt begins with one request again. Its reply may be
// another version of the file.

// maxConnections is the maximum number of connections for a file.
const maxConnections = 64

// minDivided is the minimum number of missing bytes for several connections.
// One connection receives fewer missing bytes of a part without holes.
const minDivided = 2 * minPiece

// errLonger reports that a body has more bytes than the reply announced.
var errLonger = errors.New("the server sent more bytes than it announced")

// divides reports whether the rest of the file is received in pieces. This is
// so if the part has holes, or if several connections can receive the rest.
func (j *job) divides(resp *http.Response) bool {
	p := j.part
	switch {
	case p.missing != nil:
		return true
	case j.Connections <= 1 || p.state.validator() == "" || p.state.Size-p.size.Load() < minDivided:
		return false
	case len(resp.Trailer) > 0: // the trailer may have a digest, and the first connection may stop before the trailer
		return false
	}
	return resp.StatusCode == http.StatusPartialContent || strings.EqualFold(resp.Header.Get("Accept-Ranges"), "bytes")
}

// reply is an accepted reply. It has the bytes of the file between two
// positions.
type reply struct {
	ctx       context.Context
	cancel    context.CancelCauseFunc // cancels ctx, and so the body
	resp      *http.Response
	from, end int64
	silent    func() // called when the body has stalled; it closes the connection if the connection is silent
}

// transfer is the set of the connections of an attempt.
type transfer struct {
	j      *job
	pieces *division
	ctx    context.Context // ends when the transfer must stop
	stop   context.CancelCauseFunc

	uncompared atomic.Int64 // the number of bytes of the part that the first connection has not compared yet

	comparing atomic.Int32 // the number of connections that may compare bytes after their piece is complete

	panics   sync.Once // guards panicked
	panicked any       // the value of the first panic of a callback

	mu     sync.Mutex // guards the fields below and the calls of OnEvent
	active int        // the number of connections that have a piece
	err    error      // the error of the attempt
	fewer  bool       // whether the next attempt must have fewer connections
	sent   []Digest   // the digests in the replies of the further connections

	reported int64 // the field Done of the last progress event

	// later maps positions to bytes that are compared at the end. They are the
	// first bytes of pieces, as the connection of the preceding piece
	// has received them.
	later map[int64][]byte

	// hashes has the digests of the first bytes of the file; hashed is the
	// number of these bytes. Only the first connection uses them.
	hashes hashes
	hashed int64
}

// receivePieces receives the rest of the file with several connections. The
// first connection has the given reply, which reaches to the end of the file.
// If the length and the digests are right, the part is complete.
func (j *job) receivePieces(ctx context.Context, first *reply) error {
	p := j.part
	sent := sentDigests(first.resp.Header, first.resp.StatusCode == http.StatusOK)
	if err := j.checkSent(sent); err != nil {
		return err
	}
	want := slices.Clip(j.Digests)
	for _, d := range slices.Concat(p.state.Digests, sent) {
		if !slices.Contains(want, d) {
			want = append(want, d)
		}
	}
	if err := p.beginPieces(first.from); err != nil {
		if errors.Is(err, errAppeared) {
			return err
		}
		return j.failWrite("write the partial file of "+j.Name, err)
	}
	t := &transfer{j: j, pieces: p.missing, active: 1}
	t.uncompared.Store(p.size.Load() - first.from)
	if p.size.Load() == 0 {
		t.hashes = newHashes(want)
	}
	if err := t.run(ctx, first); err != nil {
		if errors.Is(err, errDamaged) || errors.Is(err, errLonger) {
			j.discardPart()
		}
		return err
	}
	if err := t.compareAll(); errors.Is(err, errDamaged) {
		j.discardPart()
		return j.fail("continue", err).again()
	} else if err != nil {
		return j.fail("read the partial file of "+j.Name, err)
	}
	for _, d := range t.sent {
		if !slices.Contains(want, d) {
			want = append(want, d)
		}
	}
	size := p.size.Load()
	if size != p.state.Size {
		return j.fail("receive", fmt.Errorf("%d of %d bytes arrived: %w", size, p.state.Size, io.ErrUnexpectedEOF)).again()
	}
	p.endSync()
	p.missing, j.compared, j.comparedTo, j.recheck = nil, true, j.urlIndex(), maxRecheck
	if len(t.hashes) > 0 {
		rest := io.NewSectionReader(p.file, t.hashed, size-t.hashed)
		if err := j.hash(ctx, t.hashes, rest, size-t.hashed); err != nil {
			return j.fail("read the partial file of "+j.Name, err)
		}
	}
	return j.verify(ctx, t.hashes, want)
}

// beginPieces prepares a part for several connections: it gives the part a
// name, and writes into its state that the part may have holes. The part has
// no hole before this.
func (p *part) beginPieces(from int64) error {
	p.endSync()
	if p.missing == nil {
		p.missing = newDivision(p.state.Size, &p.size, nil)
		p.missing.pieces[0].check = from
	}
	if p.received() > 0 {
		if err := p.file.Sync(); err != nil {
			return err
		}
	}
	p.state.Synced, p.state.Pieces = p.missing.received()
	if p.unnamed {
		return p.persist()
	}
	if err := p.writeState(); err != nil {
		return err
	}
	p.startSync()
	return nil
}

// run runs the connections until all pieces are complete or the attempt has
// failed. It returns after all connections have ended.
func (t *transfer) run(ctx context.Context, first *reply) error {
	j := t.j
	t.ctx, t.stop = context.WithCancelCause(ctx)
	defer t.stop(nil)
	defer context.AfterFunc(t.ctx, func() { first.cancel(context.Cause(t.ctx)) })()
	piece := t.pieces.takeFirst()
	first.end = j.part.state.Size
	var running sync.WaitGroup
	for i := 1; i < j.Connections; i++ {
		c := &connection{t: t, url: j.urlIndex()}
		if len(j.Digests) > 0 { // then a mirror with another file would be noticed
			c.url = (j.urlIndex() + i) % len(j.urls)
		}
		running.Go(func() {
			defer t.contain()
			c.run(t.next(), nil)
		})
	}
	c := &connection{t: t, url: j.urlIndex(), accepted: true, first: true}
	func() {
		defer t.contain()
		c.run(piece, first)
	}()
	running.Wait()
	if t.panicked != nil {
		panic(t.panicked)
	}
	if t.fewer {
		j.Connections = max(1, j.Connections/2)
	} else {
		j.several = j.Connections > 1
	}
	if ctx.Err() != nil {
		return j.fail(fmt.Sprintf("receive, after %d bytes", j.part.received()), context.Cause(ctx))
	}
	return t.err
}

// contain stops the transfer if a callback of the program has panicked. After
// all connections have ended, run panics with the same value on the goroutine
// of the Get.
func (t *transfer) contain() {
	if p := recover(); p != nil {
		t.stop(nil)
		t.panics.Do(func() { t.panicked = p })
	}
}

// addDigests adds the digests of the whole file that a reply has.
func (t *transfer) addDigests(sent []Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range sent {
		if !slices.Contains(t.sent, d) {
			t.sent = append(t.sent, d)
		}
	}
}

// compareLater records bytes, so that compareAll compares them.
func (t *transfer) compareLater(at int64, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.later == nil {
		t.later = make(map[int64][]byte)
	}
	t.later[at] = b
}

// compareAll compares the recorded bytes with the complete part. It returns
// errDamaged if they differ.
func (t *transfer) compareAll() error {
	for at, want := range t.later {
		have := make([]byte, len(want))
		n, err := t.j.part.file.ReadAt(have, at)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(have[:n], want) {
			return errDamaged
		}
	}
	return nil
}

// next returns a piece for an idle connection, or nil if there is none.
func (t *transfer) next() *piece {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nextLocked()
}

func (t *transfer) nextLocked() *piece {
	if t.ctx.Err() != nil {
		return nil
	}
	p := t.pieces.take()
	if p != nil {
		t.active++
	}
	return p
}

// finished returns the next piece for a connection that has completed one. If
// all pieces are complete, and no connection compares bytes, finished ends the
// other connections. They only wait for a reply that is not needed, or for
// their next attempt.
func (t *transfer) finished() *piece {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active--
	if t.pieces.isComplete() && t.comparing.Load() == 0 {
		t.stop(nil)
	}
	return t.nextLocked()
}

// failed makes the piece of a connection pending. If no other connection is
// active, the attempt has failed. If the server has replied with an error
// status, it may limit the number of connections. So the next attempt has half
// of the connections. If the server demands a pause above MaxRetryAfter,
// failed removes this demand, so that Get makes the next attempt.
func (t *transfer) failed(p *piece, e *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pieces.yield(p)
	if t.active--; t.active > 0 {
		return
	}
	if e.Status != 0 && t.err == nil {
		t.fewer = true
		if e.retryAfter > t.j.client.opts.MaxRetryAfter {
			e.retryAfter = 0
		}
	}
	t.abortLocked(e)
}

// abort stops all connections after an error that concerns the whole file.
func (t *transfer) abort(err *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.abortLocked(err)
}

func (t *transfer) abortLocked(err *Error) {
	if t.err == nil && t.ctx.Err() == nil {
		t.err = err
	}
	t.stop(nil)
}

// progress emits an event with the total of all connections. If the first
// connection has a reply with the whole file, it compares the part first.
// Bytes of the part that it has not compared do not count.
func (t *transfer) progress() {
	t.mu.Lock()
	defer t.mu.Unlock()
	done := t.pieces.done() - t.uncompared.Load()
	if done == t.reported {
		return // an event of another connection has counted the bytes of this connection
	}
	t.reported = done
	t.j.emit(Event{Kind: EventProgress, Done: done, Total: t.pieces.total})
}
