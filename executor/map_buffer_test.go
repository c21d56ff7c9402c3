package executor

import (
	"fmt"
	"runtime"
	"testing"
	"weak"
)

// TestItemBuffer_FreesChunks: a Map must not keep the inputs and results that
// the consumer has taken, also while a runner runs an item of the first chunk.
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
