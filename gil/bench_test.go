package gil_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert/gil"
)

// BenchmarkUncontended compares the cost of a lock with the cost of a
// sync.Mutex. No other goroutine wants the lock.
func BenchmarkUncontended(b *testing.B) {
	b.Run("sync.Mutex", func(b *testing.B) {
		var mu sync.Mutex
		n := 0
		for b.Loop() {
			mu.Lock()
			n++
			mu.Unlock()
		}
	})
	b.Run("Do", func(b *testing.B) {
		l := gil.New(nil)
		n := 0
		for b.Loop() {
			l.Do(func(gil.Held) { n++ })
		}
	})
	b.Run("Do, timed", func(b *testing.B) {
		l := gil.New(&gil.Options{Times: true})
		n := 0
		for b.Loop() {
			l.Do(func(gil.Held) { n++ })
		}
	})
	b.Run("Run", func(b *testing.B) {
		l := gil.New(nil)
		n := 0
		for b.Loop() {
			l.Run(b.Context(), func(context.Context) error { n++; return nil })
		}
	})
	b.Run("Checkpoint", func(b *testing.B) {
		gil.New(nil).Do(func(h gil.Held) {
			for b.Loop() {
				h.Checkpoint()
			}
		})
	})
	b.Run("Checkpoint, one waits", func(b *testing.B) {
		l := gil.New(&gil.Options{Interval: time.Hour})
		done := make(chan struct{})
		l.Do(func(h gil.Held) {
			go func() { l.Do(func(gil.Held) {}); close(done) }()
			for l.Stats().Waiting == 0 {
				time.Sleep(time.Millisecond)
			}
			for b.Loop() {
				h.Checkpoint()
			}
		})
		<-done
	})
	b.Run("Release", func(b *testing.B) {
		gil.New(nil).Do(func(h gil.Held) {
			for b.Loop() {
				h.Release(func() {})
			}
		})
	})
}

// BenchmarkContended measures a lock that four goroutines want all the time:
// each acquires the lock again as soon as it has released the lock.
func BenchmarkContended(b *testing.B) {
	contend := func(b *testing.B, do func(fn func())) {
		var left atomic.Int64
		left.Store(int64(b.N))
		var all sync.WaitGroup
		n := 0
		for range 4 {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					do(func() { n++ })
				}
			})
		}
		all.Wait()
	}
	b.Run("sync.Mutex", func(b *testing.B) {
		var mu sync.Mutex
		contend(b, func(fn func()) { mu.Lock(); fn(); mu.Unlock() })
	})
	b.Run("Do", func(b *testing.B) {
		l := gil.New(nil)
		contend(b, func(fn func()) { l.Do(func(gil.Held) { fn() }) })
	})
}

// BenchmarkConvoy measures the time that a message takes to an echo server
// on loopback and back. One goroutine sends the message under the lock,
// while another goroutine computes under the lock. In the last case,
// goroutines that return from Release have no shorter interval. This case
// shows the convoy effect of CPython.
func BenchmarkConvoy(b *testing.B) {
	echo := func(b *testing.B, round func(c net.Conn)) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer listener.Close()
		go func() {
			c, err := listener.Accept()
			if err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		for b.Loop() {
			round(c)
		}
	}
	exchange := func(c net.Conn) {
		var buf [1]byte
		c.Write(buf[:])
		io.ReadFull(c, buf[:])
	}
	b.Run("idle", func(b *testing.B) {
		gil.New(nil).Do(func(h gil.Held) {
			echo(b, func(c net.Conn) { exchange(h.Conn(c)) })
		})
	})
	beside := func(b *testing.B, l *gil.Lock) {
		var stop atomic.Bool
		var all sync.WaitGroup
		all.Go(func() {
			l.Do(func(h gil.Held) {
				for !stop.Load() {
					for i := range 1000 {
						sink += i
					}
					h.Checkpoint()
				}
			})
		})
		l.Do(func(h gil.Held) { echo(b, func(c net.Conn) { exchange(h.Conn(c)) }) })
		stop.Store(true)
		all.Wait()
	}
	b.Run("one goroutine computes", func(b *testing.B) { beside(b, gil.New(nil)) })
	b.Run("one computes, and no priority", func(b *testing.B) {
		l := gil.New(nil)
		gil.NoPriority(l)
		beside(b, l)
	})
}

var sink int

// BenchmarkInterval measures the time for which a goroutine that computes
// holds the lock while another goroutine waits for the lock. It reports the
// median and the 99th percentile, in milliseconds. Both values should be
// about 5, the default interval.
func BenchmarkInterval(b *testing.B) {
	for _, procs := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("GOMAXPROCS=%d", procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			const switches = 300
			l := gil.New(nil)
			var held []time.Duration // guarded by l, as are since, last and x
			var since time.Time
			last, x := -1, 0
			var all sync.WaitGroup
			for me := range 2 {
				all.Go(func() {
					l.Do(func(h gil.Held) {
						for len(held) < switches {
							for i := range 1000 {
								x += i
							}
							h.Checkpoint()
							if last != me {
								now := time.Now()
								if last >= 0 {
									held = append(held, now.Sub(since))
								}
								last, since = me, now
							}
						}
					})
				})
			}
			all.Wait()
			held = held[1:] // the first value is too large, because the second goroutine began to wait later
			slices.Sort(held)
			b.ReportMetric(held[len(held)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(held[len(held)*99/100].Seconds()*1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
