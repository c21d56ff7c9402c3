package processes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes"
)

// Tasks that misbehave in their worker, and the functions that they share.

// pidOf returns the id of the worker process.
var pidOf = concert.Register("processes_test.pidOf", func(context.Context, int) (int, error) { return os.Getpid(), nil })

// startAndWait writes its process id to a file, and waits for its context to
// end.
var startAndWait = concert.Register("processes_test.startAndWait", func(ctx context.Context, path string) (int, error) {
	leave(path, strconv.Itoa(os.Getpid()))
	<-ctx.Done()
	return 0, context.Cause(ctx)
})

// leave writes a file atomically.
func leave(path, text string) {
	if err := os.WriteFile(path+".new", []byte(text), 0o666); err != nil {
		panic(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		panic(err)
	}
}

// marked appends a line to a file when it begins, and another line when it
// ends.
var marked = concert.Register("processes_test.marked", func(_ context.Context, m mark) (int, error) {
	f, err := os.OpenFile(m.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fmt.Fprintf(f, "b%d\n", m.N)
	for end := time.Now().Add(m.Work); time.Now().Before(end); {
	}
	fmt.Fprintf(f, "e%d\n", m.N)
	return m.N, nil
})

type mark struct {
	Path string
	N    int
	Work time.Duration
}

// misbehave harms its worker or the pool, for example by a crash. Its
// argument says how.
var misbehave = concert.Register("processes_test.misbehave", func(ctx context.Context, what string) (string, error) {
	what, arg, _ := strings.Cut(what, " ")
	switch what {
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "segv":
		return "", errors.New(*(*string)(unsafe.Add(nil, 1<<40)))
	case "abort":
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		time.Sleep(time.Minute)
	case "raise": // as a fault in C code, which no Go code can handle
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
	case "nil":
		go func() { fmt.Println(*(*string)(nil)) }()
		time.Sleep(time.Minute)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "once":
		if _, err := os.Stat(arg); err == nil {
			return "twice", nil
		}
		leave(arg, "")
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Minute)
	case "goroutine":
		go panic("from a goroutine")
		time.Sleep(time.Minute)
	case "overflow":
		debug.SetMaxStack(1 << 20)
		return strconv.Itoa(overflow(1)), nil
	case "spin":
		signal.Ignore(syscall.SIGTERM)
		for n := uint64(1); n != 0; n += 2 {
		}
	case "wait":
		for {
			if _, err := os.Stat(strings.TrimPrefix(arg, "for ")); err == nil {
				return "", nil
			}
			time.Sleep(time.Millisecond)
		}
	case "sleep":
		d, err := time.ParseDuration(arg)
		time.Sleep(d)
		return "slept", err
	case "children":
		var pids []string
		for range 5 {
			cmd := exec.Command("sleep", "1000")
			if err := cmd.Start(); err != nil {
				return "", err
			}
			pids = append(pids, strconv.Itoa(cmd.Process.Pid))
		}
		leave(arg, strings.Join(pids, " "))
		time.Sleep(time.Minute)
	case "grandchild":
		// The child keeps the worker's pipes open. It has its own process
		// group.
		cmd := exec.Command("sleep", "1000")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return "", err
		}
		leave(arg, strconv.Itoa(cmd.Process.Pid))
		os.Exit(3)
	case "memory":
		n, _ := strconv.Atoi(arg)
		var kept [][]byte
		for range n {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			kept = append(kept, b)
		}
		return fmt.Sprint(len(kept)), nil
	case "files":
		var limit syscall.Rlimit
		syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
		limit.Cur = 3
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return "", err
		}
		_, err := os.Open("/dev/null")
		return "", err
	case "say":
		// The task writes directly to the pipe of results.
		var b []byte
		switch arg {
		case "garbage":
			b = []byte("\x10\x00\x00\x00garbage garbage garbage")
		case "length":
			b = []byte{255, 255, 255, 255, 'R'}
		case "zero":
			b = make([]byte, 5)
		case "unknown":
			b = frame.AppendResult(nil, frame.Outcome{ID: frame.ID{Seq: 77}})
		case "result twice": // as the first call of its worker
			b = frame.AppendResult(nil, frame.Outcome{})
			b = append(b, b...)
		case "shared":
			b = frame.AppendResult(nil, frame.Outcome{Value: frame.Payload{Shared: true, Span: frame.Span{Offset: 1 << 60, Length: 1 << 60}}})
		case "version":
			b = frame.AppendHello(nil, frame.HelloBody{Version: 99})
		case "ready":
			b = frame.AppendReady(nil)
		}
		if _, err := syscall.Write(4, b); err != nil {
			return "", err
		}
		time.Sleep(time.Minute)
	case "deaf": // the worker reads no more calls, but continues to run and to read control frames
		var empty [2]int
		if _, err := syscall.Dup(tasksFile); err != nil { // keeps the pipe open, because the pool kills a worker whose pipe of calls is closed
			return "", err
		}
		if err := syscall.Pipe2(empty[:], syscall.O_NONBLOCK); err != nil {
			return "", err
		}
		if err := syscall.Dup2(empty[0], tasksFile); err != nil {
			return "", err
		}
		return strconv.Itoa(os.Getpid()), nil
	case "overwrite-results":
		mem := shared("concert-arena")
		for i := range 256 {
			mem[i<<10] = 1 // so that the system has memory for this page in both halves
			mem[len(mem)/2+i<<10] = 1
		}
		go func() {
			for {
				i := rand.IntN(256 << 10)
				mem[i]++
				mem[len(mem)/2+i]++
			}
		}()
		return "", nil
	case "overwrite-journal":
		mem := shared("concert-journal")
		for i := range mem {
			mem[i] = byte(rand.Int())
		}
		leave(arg, "")
		time.Sleep(time.Minute)
	case "nest":
		n, _ := strconv.Atoi(arg)
		if n == 0 {
			return "bottom", nil
		}
		p, err := processes.New(1, nil)
		if err != nil {
			return "", err
		}
		defer p.Close()
		return concert.Submit(ctx, p, nest, fmt.Sprint("nest ", n-1)).Result(ctx)
	}
	return "", fmt.Errorf("unknown misbehavior %q", what)
})

var nest func(context.Context, string) (string, error)

func init() { nest = misbehave }

func overflow(n int) int {
	if n < 0 {
		return 0
	}
	return overflow(n+1) + n
}

// shared returns memory that this worker shares with the pool. The parameter
// name is the name of the memory.
func shared(name string) []byte {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(maps), "\n") {
		if strings.Contains(line, name) {
			var from, to uintptr
			fmt.Sscanf(line, "%x-%x", &from, &to)
			return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&from))), to-from)
		}
	}
	panic("no " + name + " in " + string(maps))
}

// notEncodable returns a value that cannot be encoded.
var notEncodable = concert.Register("processes_test.notEncodable", func(context.Context, int) (any, error) { return make(chan int), nil })

// pathIn returns a path in a directory for a file that a task writes.
func pathIn(dir string, name any) string { return filepath.Join(dir, fmt.Sprint(name)) }

// leaveGroup moves its worker to another process group, and sleeps.
var leaveGroup = concert.Register("processes_test.leaveGroup", func(_ context.Context, group int) (int, error) {
	if err := syscall.Setpgid(0, group); err != nil {
		return 0, err
	}
	time.Sleep(time.Minute)
	return 0, nil
})

// TestPool_WorkerLeavesGroup: if a worker has left its process group, the pool
// must still be able to kill the worker.
func TestPool_WorkerLeavesGroup(t *testing.T) {
	leftovers(t)
	group, err := syscall.Getpgid(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond, Grace: 10 * time.Millisecond})
	_, err = submit(t, p, leaveGroup, group).Result(t.Context())
	if e := died(t, err); !errors.Is(e, processes.ErrTimeout) {
		t.Errorf("%v, want ErrTimeout", e)
	}
}

// forge writes its own result and then an unexpected frame.
var forge = concert.Register("processes_test.forge", func(context.Context, int) (int, error) {
	b := frame.AppendResult(nil, frame.Outcome{Value: frame.Payload{Encoded: executor.Encoded{Kind: 13, Bytes: make([]byte, 8)}}})
	syscall.Write(4, frame.AppendHello(b, frame.HelloBody{Version: frame.Version}))
	time.Sleep(time.Minute)
	return 0, nil
})

// TestPool_ForgedResult: if a worker writes a result together with an
// unexpected frame, the pool must still accept the result.
func TestPool_ForgedResult(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 50 * time.Millisecond})
	if _, err := submit(t, p, forge, 0).Result(t.Context()); err != nil {
		t.Errorf("the result before the unexpected frame: %v", err)
	}
}
