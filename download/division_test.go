package download

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
)

// model is a naive set of bytes: sorted spans that are not adjacent.
type model []span

// add adds a span. It reports whether all bytes of the span are new.
func (m *model) add(s span) (isNew bool) {
	isNew = !slices.ContainsFunc(*m, func(o span) bool { return s[0] < o[1] && o[0] < s[1] })
	all := append(*m, s)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a[0], b[0]) })
	merged := all[:1]
	for _, o := range all[1:] {
		if last := &merged[len(merged)-1]; o[0] <= last[1] {
			last[1] = max(last[1], o[1])
		} else {
			merged = append(merged, o)
		}
	}
	*m = merged
	return isNew
}

// TestDivision_Model compares a division with a naive set of bytes, under
// random operations of several connections.
func TestDivision_Model(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		total := 1 + r.Int64N(20<<20)
		var size atomic.Int64
		size.Store(r.Int64N(total) * r.Int64N(2))
		var have model
		if size.Load() > 0 {
			have.add(span{0, size.Load()})
		}
		var spans []span
		for at := size.Load() + 1; at < total; {
			s := span{at, min(total, at+1+r.Int64N(3<<20))}
			if r.IntN(2) == 0 {
				spans = append(spans, s)
				have.add(s)
			}
			at = s[1] + 1
		}
		d := newDivision(total, &size, spans)
		check := func() {
			t.Helper()
			prefix, got := d.received()
			all := model(got)
			if prefix > 0 {
				all = append(model{{0, prefix}}, got...)
			}
			done := int64(0)
			for _, s := range have {
				done += s[1] - s[0]
			}
			if got == nil || !slices.Equal(all, have) || d.done() != done || size.Load() != prefix || !validSpans(prefix, total, got) {
				t.Fatalf("seed %d: received %d, %v, %d bytes, prefix %d; want %v, %d bytes", seed, prefix, got, d.done(), size.Load(), have, done)
			}
		}
		check()
		var requested []*piece
		busy := []*piece{d.takeFirst()}
		for steps := 0; len(d.pieces) > 0; steps++ {
			if steps > 100_000 {
				t.Fatalf("seed %d: no end: %v", seed, have)
			}
			switch n := r.IntN(16); {
			case n < 2 && len(busy)+len(requested) < 8:
				p := d.take()
				if p == nil {
					continue
				}
				if from, end := d.request(p); slices.Contains(append(requested, busy...), p) || from != p.check || end != p.end || from >= end {
					t.Fatalf("seed %d: took %+v, request %d to %d, busy %v", seed, p, from, end, busy)
				}
				requested = append(requested, p)
			case n < 4 && len(requested) > 0:
				i := r.IntN(len(requested))
				if p := requested[i]; d.accept(p) {
					busy = append(busy, p)
				} else if p.next < p.end {
					t.Fatalf("seed %d: %+v was removed", seed, p)
				}
				requested = slices.Delete(requested, i, i+1)
			case n == 4 && len(requested) > 0:
				i := r.IntN(len(requested))
				d.yield(requested[i])
				requested = slices.Delete(requested, i, i+1)
			case n == 5 && len(busy) > 0:
				i := r.IntN(len(busy))
				d.yield(busy[i])
				busy = slices.Delete(busy, i, i+1)
			case len(busy) > 0:
				i := r.IntN(len(busy))
				p := busy[i]
				rest := d.advance(p, 0)
				if rest > 0 {
					n := min(rest, 1+r.Int64N(128<<10))
					if p.next+n > p.limit {
						t.Fatalf("seed %d: %+v has bytes after its reply", seed, p)
					}
					if !have.add(span{p.next, p.next + n}) {
						t.Fatalf("seed %d: bytes after %d were received twice", seed, p.next)
					}
					rest = d.advance(p, n)
				}
				if rest == 0 {
					busy = slices.Delete(busy, i, i+1)
				}
				check()
			}
		}
		if !slices.Equal(have, model{{0, total}}) {
			t.Fatalf("seed %d: the bytes at the end are %v, want all of %d", seed, have, total)
		}
	}
}

// TestDivision_NotAccepted checks that a connection continues with the piece
// after its own if no other connection receives it.
func TestDivision_NotAccepted(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused %v", refused), func(t *testing.T) { testNotAccepted(t, refused) })
	}
}

func testNotAccepted(t *testing.T, refused bool) {
	const total = 8 << 20
	d := newDivision(total, new(atomic.Int64), nil)
	first := d.takeFirst()
	second := d.take()
	if _, end := d.request(second); first.end != total/2 || end != total {
		t.Fatalf("pieces %+v and %+v, want two halves", first, second)
	}
	if refused {
		d.yield(second)
	}
	if rest := d.advance(first, total/2); rest != total/2 {
		t.Errorf("%d bytes are left for the first connection, want %d", rest, total/2)
	}
	if d.accept(second) {
		t.Error("the second connection receives the bytes again")
	}
}

func TestDivision_ValidSpans(t *testing.T) {
	for _, c := range []struct {
		name  string
		spans []span
		want  bool
	}{
		{"none", nil, true},
		{"in order", []span{{20, 30}, {40, 100}}, true},
		{"adjacent to the prefix", []span{{10, 30}}, false},
		{"adjacent", []span{{20, 30}, {30, 40}}, false},
		{"overlapping", []span{{20, 30}, {25, 40}}, false},
		{"empty", []span{{20, 20}}, false},
		{"reversed", []span{{30, 20}}, false},
		{"negative", []span{{-5, 20}}, false},
		{"after the end", []span{{20, 101}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := validSpans(10, 100, c.spans); got != c.want {
				t.Errorf("validSpans = %v, want %v", got, c.want)
			}
		})
	}
}
