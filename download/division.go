package download

import (
	"slices"
	"sync"
	"sync/atomic"
)

// minPiece is the minimum length of the two halves of a divided piece. It is
// larger than a buffer. So a connection never writes bytes of the half that
// another connection takes.
const minPiece = 1 << 20

// piece is a range of the file with missing bytes. Its positions:
//
//	check          next           end              limit
//	| to compare   | missing      | other pieces   |
//	| the reply of the connection has these bytes  |
//
// It is pending, or a connection requests or receives it:
//
//	pending --take--> requested --accept--> received --advance to the end--> (removed)
//	requested, received --yield--> pending
//	pending, requested --advance of the piece before--> (removed)
type piece struct {
	check int64 // the bytes from here to next have arrived, and must be compared first
	next  int64 // the first missing byte
	end   int64 // the byte after the last missing one
	limit int64 // the byte after the last byte of the reply; only valid while the piece is busy
	got   int64 // the number of bytes that the connection has received
	busy  bool  // whether the piece is requested or received

	// accepted is whether a good reply has arrived, so that the piece is
	// received.
	accepted bool
}

// division is the set of the pieces of a file. Its methods may be called
// concurrently.
type division struct {
	total  int64         // the size of the file
	prefix *atomic.Int64 // the number of bytes before the first missing one

	mu      sync.Mutex // guards the other fields, and the fields of all pieces
	pieces  []*piece   // sorted; without complete pieces
	missing int64      // the sum of the missing bytes of all pieces
}

// newDivision returns the missing pieces of a file. An earlier Get has
// received the bytes before *prefix, and the given spans. The spans must be
// valid.
func newDivision(total int64, prefix *atomic.Int64, have []span) *division {
	d := &division{total: total, prefix: prefix}
	last := span{0, prefix.Load()}
	add := func(end int64) {
		d.pieces = append(d.pieces, &piece{check: max(last[0], last[1]-overlap), next: last[1], end: end})
		d.missing += end - last[1]
	}
	for _, s := range have {
		add(s[0])
		last = s
	}
	// If the last span reaches the end of the file, this piece has no missing
	// byte. This piece is necessary, because the end of the span must be
	// compared.
	add(total)
	return d
}

// validSpans reports whether spans are in order, not adjacent, after the first
// prefix bytes of a file, and in its first size bytes.
func validSpans(prefix, size int64, spans []span) bool {
	for _, s := range spans {
		if s[0] <= prefix || s[1] <= s[0] || s[1] > size {
			return false
		}
		prefix = s[1]
	}
	return true
}

// take returns the first pending piece. If there is none, it returns the second
// half of the largest piece, or nil if all pieces are small.
func (d *division) take() *piece {
	d.mu.Lock()
	defer d.mu.Unlock()
	largest := -1
	for i, p := range d.pieces {
		if !p.busy {
			p.busy, p.got = true, 0
			return p
		}
		if largest < 0 || p.end-p.next > d.pieces[largest].end-d.pieces[largest].next {
			largest = i
		}
	}
	if largest < 0 {
		return nil
	}
	p := d.pieces[largest]
	if p.end-p.next < 2*minPiece {
		return nil
	}
	middle := p.next + (p.end-p.next)/2
	half := &piece{check: middle, next: middle, end: p.end, busy: true}
	p.end = middle
	d.pieces = slices.Insert(d.pieces, largest+1, half)
	return half
}

// takeFirst returns the first piece. The reply of the caller's connection
// begins with this piece, and ends at the end of the file. No piece may be
// busy.
func (d *division) takeFirst() *piece {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pieces[0]
	p.busy, p.accepted, p.limit, p.got = true, true, d.total, 0
	return p
}

// request returns the range that the connection of a busy piece must request,
// from the first byte to the byte after the last.
func (d *division) request(p *piece) (from, end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.limit = p.end
	return p.check, p.end
}

// accept records that a good reply to the request for a piece has arrived. It
// reports false if another connection has received the piece in the meantime.
func (d *division) accept(p *piece) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.accepted = true
	return slices.Contains(d.pieces, p)
}

// positions returns check and next of a busy piece.
func (d *division) positions(p *piece) (check, next int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return p.check, p.next
}

// advance records that the connection of a busy piece has compared the bytes
// before the piece, and written n further bytes. It returns the number of
// bytes that are missing now. At the end of the piece, it adds the next piece
// if no connection receives that piece and the reply of the connection
// contains it. So this connection reads its reply to the end if the server
// accepts no other connection.
func (d *division) advance(p *piece, n int64) (rest int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.next += n
	p.got += n
	p.check = p.next
	d.missing -= n
	if p.next == p.end {
		i := slices.Index(d.pieces, p)
		if i+1 < len(d.pieces) {
			d.absorbLocked(p, i+1)
		}
		if p.next == p.end {
			d.pieces = slices.Delete(d.pieces, i, i+1)
		}
	}
	first := d.total
	if len(d.pieces) > 0 {
		first = d.pieces[0].next
	}
	d.prefix.Store(first)
	return p.end - p.next
}

// absorbLocked adds the piece with index i to the previous piece, p, if the
// reply for p also has the bytes of piece i.
func (d *division) absorbLocked(p *piece, i int) {
	next := d.pieces[i]
	if next.accepted || next.check != p.end || next.next != p.end || p.limit < next.end {
		return
	}
	p.end = next.end
	next.check, next.next = next.end, next.end
	d.pieces = slices.Delete(d.pieces, i, i+1)
}

// yield makes a busy piece pending. It has no effect on a removed piece. The
// next connection first compares the last bytes before the piece: see
// maxRecheck.
func (d *division) yield(p *piece) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.pieces, p)
	if i < 0 {
		return
	}
	p.busy, p.accepted = false, false
	have := int64(0) // the bytes from here to next have arrived
	if i > 0 {
		have = d.pieces[i-1].end
	}
	if p.got > 0 {
		p.check = max(have, p.next-min(maxRecheck, (p.got+1)/2))
	} else if n := p.next - p.check; n <= maxRecheck {
		p.check += n / 2                            // half of the overlap, so that the next connection can receive new bytes
		p.check = max(have, min(p.check, p.next-1)) // but at least one byte, if there is one
	}
}

// start returns the position at which the request for the first piece must
// begin.
func (d *division) start() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pieces) == 0 {
		return d.total
	}
	return d.pieces[0].check
}

// isComplete reports whether no byte is missing, and all ends were compared.
func (d *division) isComplete() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pieces) == 0
}

// following returns the number of received bytes that directly follow the end
// of a complete piece.
func (d *division) following(end int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pieces {
		if p.end > end {
			return max(0, p.next-end)
		}
	}
	return d.total - end
}

// done returns the number of bytes that have arrived.
func (d *division) done() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total - d.missing
}

// received returns which bytes have arrived: the number of bytes before the
// first missing byte, and the spans after this byte. The spans are not nil.
func (d *division) received() (prefix int64, spans []span) {
	d.mu.Lock()
	defer d.mu.Unlock()
	spans = []span{}
	at := int64(0) // the end of the last missing range
	add := func(end int64) {
		if at == 0 {
			prefix = end
		} else if end > at {
			spans = append(spans, span{at, end})
		}
	}
	for _, p := range d.pieces {
		if p.next < p.end {
			add(p.next)
			at = p.end
		}
	}
	add(d.total)
	return prefix, spans
}
