package executor

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"weak"
)

// TestItemBuffer_FreesChunks: a Map must not keep the inputs and results
// that the consumer has taken, even while a runner runs an item of the first
// chunk.
func TestItemBuffer_FreesChunks(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		t.Run(fmt.Sprintf("ordered=%v", ordered), func(t *testing.T) {
			var b itemBuffer[int, int]
			b.init(ordered)
			first := weak.Make(b.last)
			var slow, quick sight
			for i := range firstChunk + maxChunk {
				b.append(i)
				seen := &quick
				if i == 0 {
					seen = &slow
				}
				it, index := b.claim(seen)
				b.markDone(it, index, ordered)
				if got := b.next(ordered); got == nil || got.index() != int64(i) {
					t.Fatalf("next() = %v, want item %d", got, i)
				}
			}
			runtime.GC()
			if first.Value() != nil {
				t.Errorf("after %d items, the first chunk is still in memory", firstChunk+maxChunk)
			}
			runtime.KeepAlive(&slow)
			runtime.KeepAlive(&b)
		})
	}
}

// TestItemBuffer_AheadWhileClaimed counts the unclaimed items while other
// goroutines append and claim items. A claim uses the number as a capacity, so
// it must not be negative.
func TestItemBuffer_AheadWhileClaimed(t *testing.T) {
	const items = 300_000
	var l itemBuffer[int, int]
	l.init(true)
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range items {
			l.append(i)
		}
	})
	wg.Go(func() {
		defer done.Store(true)
		var seen sight
		for claimed := 0; claimed < items; {
			some, _ := l.claimSome(&seen, maxChunk)
			claimed += len(some)
		}
	})
	for range 8 { // more goroutines than processors, so that some are preempted while they count
		wg.Go(func() {
			for !done.Load() {
				if n := l.ahead(maxBatch); n < 0 {
					t.Errorf("ahead = %d while items are claimed, want at least 0", n)
					return
				}
			}
		})
	}
	wg.Wait()
}
