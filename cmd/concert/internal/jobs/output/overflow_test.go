//go:build unix

package output

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestOverflow_RandomRanges: ranges must keep their contents until they are
// released. They are released in any order and in parts, and some other ranges
// cannot be written.
func TestOverflow_RandomRanges(t *testing.T) {
	type live struct {
		part
		fill byte
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	s := openStore(t)
	o := &s.over
	check := func(l live) {
		t.Helper()
		data := make([]byte, l.size)
		if _, err := o.file.ReadAt(data, l.off); err != nil || bytes.Count(data, []byte{l.fill}) != len(data) {
			t.Fatalf("seed %d: the range at %d of %d bytes is damaged: %v", seed, l.off, l.size, err)
		}
	}
	var ranges []live
	most := int64(0)
	for round := range 3000 {
		most = max(most, o.end)
		if grow := round%1000 < 600; grow == (random.IntN(4) > 0) || len(ranges) == 0 {
			size := 1 + random.Int64N(2000)
			if random.IntN(8) == 0 {
				size = 1 + random.Int64N(5*segment/2)
			}
			fill := byte(1 + random.IntN(255))
			f, off, err := o.reserve(size)
			if err != nil {
				t.Fatal(err)
			}
			if random.IntN(10) == 0 { // as on a full disk
				o.release(off, off+size, true)
				continue
			}
			if _, err := f.WriteAt(bytes.Repeat([]byte{fill}, int(size)), off); err != nil {
				t.Fatal(err)
			}
			ranges = append(ranges, live{part{file: f, off: off, size: size, end: off + size}, fill})
			continue
		}
		i := random.IntN(len(ranges))
		l := &ranges[i]
		check(*l)
		if random.IntN(2) == 0 {
			l.consume(s, random.Int64N(l.size+1))
			check(*l)
			continue
		}
		o.release(l.off, l.end, true)
		ranges[i] = ranges[len(ranges)-1]
		ranges = ranges[:len(ranges)-1]
	}
	for _, l := range ranges {
		check(l)
		o.release(l.off, l.end, true)
	}
	if o.held != 0 || len(o.live) > 0 || o.end != 0 || most < 10*segment {
		t.Errorf("seed %d: %d segments are used, and the next offset is %d of %d", seed, o.held, o.end, most)
	}
}
