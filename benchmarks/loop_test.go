package benchmarks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/gil"
	"concert/goroutines"
	"concert/loop"
)

// These benchmarks compare the event loop to CPython's asyncio (loop.py) and to
// plain goroutines. Run them with -benchtime 1x.

// timedLoop calls the function main in an event loop, and reports the time per
// item. The parameter n is the number of items.
func timedLoop(b *testing.B, n int, main func(ctx context.Context, g *loop.Group, n int)) {
	for range b.N {
		loop.Run(b.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			main(ctx, g, n/10+1) // to warm up
			begin := time.Now()
			main(ctx, g, n)
			b.ReportMetric(float64(time.Since(begin).Nanoseconds())/float64(n), "ns/task")
			return nil
		})
	}
	b.ReportMetric(0, "ns/op")
}

// timedPlain is like timedLoop, but uses no event loop.
func timedPlain(b *testing.B, n int, main func(n int)) {
	for range b.N {
		main(n/10 + 1)
		begin := time.Now()
		main(n)
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/float64(n), "ns/task")
	}
	b.ReportMetric(0, "ns/op")
}

func nothing(context.Context) error { return nil }

func identity(_ context.Context, n int) (int, error) { return n, nil }

func BenchmarkLoop(b *testing.B) {
	const many, few = 500_000, 20_000
	compare := func(name, kind string, inLoop func(ctx context.Context, g *loop.Group, n int), plain func(n int)) {
		b.Run(name+"/loop", func(b *testing.B) { timedLoop(b, many, inLoop) })
		b.Run(name+"/goroutines", func(b *testing.B) { timedPlain(b, many, plain) })
		b.Run(name+"/asyncio", func(b *testing.B) { inPython(b, "loop.py", kind, few) })
		b.Run(name+"/uvloop", func(b *testing.B) { onUvloop(b, kind, few) })
	}

	compare("create and await", "create", func(ctx context.Context, g *loop.Group, n int) {
		for range n {
			g.Go(nothing).Wait(ctx)
		}
	}, func(n int) {
		for range n {
			done := make(chan error, 1)
			go func() { done <- nothing(context.Background()) }()
			<-done
		}
	})

	compare("group, each", "group", func(ctx context.Context, _ *loop.Group, n int) {
		for range n / 1000 {
			loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
				for range 1000 {
					g.Go(nothing)
				}
				return nil
			})
		}
	}, func(n int) {
		for range n / 1000 {
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() { nothing(context.Background()) })
			}
			all.Wait()
		}
	})

	compare("yield", "yield", func(ctx context.Context, g *loop.Group, n int) {
		turns := func(ctx context.Context) error {
			for range n / 2 {
				loop.Yield(ctx)
			}
			return nil
		}
		other := g.Go(turns)
		turns(ctx)
		other.Wait(ctx)
	}, func(n int) {
		ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
		go func() {
			for range n / 2 {
				<-ping
				pong <- struct{}{}
			}
		}()
		for range n / 2 {
			ping <- struct{}{}
			<-pong
		}
	})

	compare("queue", "queue", func(ctx context.Context, g *loop.Group, n int) {
		q := loop.NewQueue[int](1)
		getter := g.Go(func(ctx context.Context) error {
			for range n {
				q.Get(ctx)
			}
			return nil
		})
		for i := range n {
			q.Put(ctx, i)
		}
		getter.Wait(ctx)
	}, func(n int) {
		q, done := make(chan int, 1), make(chan struct{})
		go func() {
			defer close(done)
			for range n {
				<-q
			}
		}()
		for i := range n {
			q <- i
		}
		<-done
	})

	compare("event and answer", "event", func(ctx context.Context, g *loop.Group, n int) {
		var ask, answer loop.Event
		replier := g.Go(func(ctx context.Context) error {
			for ask.Wait(ctx) == nil {
				ask.Clear()
				answer.Set()
			}
			return nil
		})
		for range n {
			ask.Set()
			answer.Wait(ctx)
			answer.Clear()
		}
		replier.Cancel()
	}, func(n int) {
		ask, answer := make(chan struct{}, 1), make(chan struct{}, 1)
		go func() {
			for range ask {
				answer <- struct{}{}
			}
		}()
		for range n {
			ask <- struct{}{}
			<-answer
		}
		close(ask)
	})

	pool := goroutines.New(2, nil)
	defer pool.Close()
	compare("offload", "offload", func(ctx context.Context, _ *loop.Group, n int) {
		for i := range n {
			loop.Offload(ctx, pool, identity, i)
		}
	}, func(n int) {
		for i := range n {
			concert.Submit(b.Context(), pool, identity, i).Result(b.Context())
		}
	})
}

// BenchmarkMillion starts a million coroutines that sleep, and cancels them.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	b.Run("loop", func(b *testing.B) {
		for range b.N {
			sleepers(b, n, func(slept, canceled func()) {
				loop.Run(b.Context(), &loop.Options{Stall: -1}, func(ctx context.Context, g *loop.Group) error {
					for range n {
						g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
					}
					loop.Yield(ctx)
					slept()
					g.Cancel()
					return nil
				})
				canceled()
			})
		}
	})
	b.Run("goroutines", func(b *testing.B) {
		for range b.N {
			sleepers(b, n, func(slept, canceled func()) {
				ctx, cancel := context.WithCancel(b.Context())
				var all, asleep sync.WaitGroup
				asleep.Add(n)
				for range n {
					all.Go(func() {
						t := time.NewTimer(time.Hour)
						defer t.Stop()
						asleep.Done()
						select {
						case <-t.C:
						case <-ctx.Done():
						}
					})
				}
				asleep.Wait()
				slept()
				cancel()
				all.Wait()
				canceled()
			})
		}
	})
	for _, what := range []string{"created", "canceled", "bytes"} { // reported as ns/task
		b.Run("asyncio/"+what, func(b *testing.B) { inPython(b, "loop.py", "sleepers "+what, n) })
	}
}

// sleepers calls the function run with two functions. run must call the first
// function when n sleepers sleep, and the second function when all sleepers
// have ended. For each sleeper, sleepers reports both times and the memory.
func sleepers(b *testing.B, n int, run func(slept, canceled func())) {
	debug.FreeOSMemory() // releases the memory of an earlier run
	before := resident(b, os.Getpid())
	begin := time.Now()
	run(func() {
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/float64(n), "ns/created")
		b.ReportMetric(float64(resident(b, os.Getpid())-before)/float64(n), "B/sleeper")
		begin = time.Now()
	}, func() {
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/float64(n), "ns/canceled")
	})
	b.ReportMetric(0, "ns/op")
}

// resident returns the resident memory of a process, in bytes.
func resident(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skip("this system does not report the memory of a process in /proc")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// serve is the main function of an echo server. It prints its port, and ends
// the process when the standard input ends.
func serve(kind string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	echo := func(c net.Conn) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if kind == "slow" {
				time.Sleep(time.Millisecond)
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
	}
	if kind == "loop" {
		loop.Run(context.Background(), nil, func(ctx context.Context, _ *loop.Group) error {
			return loop.Serve(ctx, l, func(ctx context.Context, c net.Conn) { echo(c) })
		})
		return
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer c.Close()
			echo(c)
		}()
	}
}

// debianPython is the interpreter for which Debian packages uvloop, numpy and
// joblib.
const debianPython = "/usr/bin/python3"

// needUvloop skips a benchmark if debianPython has no uvloop.
func needUvloop(b *testing.B) {
	if exec.CommandContext(b.Context(), debianPython, "-c", "import uvloop").Run() != nil {
		b.Skip("uvloop is not installed for ", debianPython, ": it is Debian's package python3-uvloop")
	}
}

// onUvloop is like inPython, but runs asyncio on uvloop.
func onUvloop(b *testing.B, kind string, n int) {
	needUvloop(b)
	timedPython(b, debianPython, "loop.py", "uvloop", kind, strconv.Itoa(n))
}

// server starts an echo server. The parameter kind is loop, goroutines,
// asyncio, uvloop, or slow. A slow server uses goroutines, and answers after a
// millisecond.
func server(b *testing.B, kind string) (pid int, address string) {
	cmd := exec.Command(os.Args[0], "serve", kind)
	switch kind {
	case "asyncio":
		cmd = exec.Command("python3", "loop.py", "serve")
	case "uvloop":
		needUvloop(b)
		cmd = exec.Command(debianPython, "loop.py", "uvloop", "serve")
	}
	address = start(b, cmd)
	return cmd.Process.Pid, address
}

// start starts a server that prints its port, and returns its address. At the
// end of the benchmark, start closes the standard input of the server, so the
// server ends.
func start(b *testing.B, cmd *exec.Cmd) (address string) {
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); errors.Is(err, exec.ErrNotFound) {
		b.Skip("not installed: ", cmd.Args[0])
	} else if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

// BenchmarkEcho sends requests of 64 bytes over 64 connections. For each
// connection, a goroutine sends requests one after the other. Then
// BenchmarkEcho measures the memory of a server with 10,000 connections. This
// memory includes the buffers of the connections. In Go, each buffer has 4
// KiB.
func BenchmarkEcho(b *testing.B) {
	for _, kind := range []string{"loop", "goroutines", "asyncio", "uvloop"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				pid, address := server(b, kind)
				dial := func() net.Conn {
					c, err := net.Dial("tcp", address)
					if err != nil {
						b.Fatal(err)
					}
					return c
				}
				ask := func(c net.Conn, n int) {
					var b [64]byte
					for range n {
						c.Write(b[:])
						if _, err := io.ReadFull(c, b[:]); err != nil {
							panic(err)
						}
					}
				}
				const connections, requests = 64, 2000
				var all sync.WaitGroup
				stat, begin := mustStat(b, pid), time.Now()
				for range connections {
					c := dial()
					defer c.Close()
					all.Go(func() { ask(c, requests) })
				}
				all.Wait()
				b.ReportMetric(connections*requests/time.Since(begin).Seconds(), "req/s")
				mustStat(b, pid).sub(stat).reportCPU(b, connections*requests)

				const idle = 10_000
				before := resident(b, pid)
				for range idle {
					c := dial()
					defer c.Close()
					ask(c, 1)
				}
				b.ReportMetric(float64(resident(b, pid)-before)/idle, "B/connection")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// BenchmarkGIL measures the median time of a round trip to a server in another
// process, while another goroutine or thread computes under the interpreter
// lock. The server answers after a millisecond. The delay is necessary for
// CPython. Without it, the thread that waits for the answer would mostly
// acquire the lock again before the other thread wakes up, so that the other
// thread would hardly compute.
func BenchmarkGIL(b *testing.B) {
	const n = 200
	b.Run("round trip/gil", func(b *testing.B) {
		_, address := server(b, "slow")
		for range b.N {
			lock := gil.New(nil)
			var done atomic.Bool
			var hog sync.WaitGroup
			hog.Go(func() {
				lock.Do(func(h gil.Held) {
					for !done.Load() {
						for x := range 1000 {
							spun += x
						}
						h.Checkpoint()
					}
				})
			})
			raw, err := net.Dial("tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			var times []time.Duration
			lock.Do(func(h gil.Held) {
				c := h.Conn(raw)
				for range n {
					begin := time.Now()
					c.Write([]byte{1})
					c.Read(make([]byte, 1))
					times = append(times, time.Since(begin))
				}
			})
			done.Store(true)
			raw.Close()
			hog.Wait()
			slices.Sort(times)
			b.ReportMetric(float64(times[n/2].Nanoseconds()), "ns/task")
			b.ReportMetric(0, "ns/op")
		}
	})
	b.Run("round trip/CPython", func(b *testing.B) {
		_, address := server(b, "slow")
		_, port, _ := net.SplitHostPort(address)
		inPython(b, "loop.py", "beside "+port, n)
	})
}

var spun int // keeps the compiler from removing the sum
