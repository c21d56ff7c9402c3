package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/goroutines"
)

// node is a process of this program that is a server, a worker or a client. See
// TestMain.
type node struct {
	t       *testing.T
	env     []string
	process *exec.Cmd
	in      io.Closer
	ready   chan error
}

// newNode starts a process with the given variables in its environment.
func newNode(t *testing.T, env ...string) *node {
	t.Helper()
	n := &node{t: t, env: append(os.Environ(), env...)}
	n.start()
	t.Cleanup(n.kill)
	return n
}

func (n *node) start() {
	n.t.Helper()
	n.process = exec.Command(os.Args[0])
	n.process.Env, n.process.Stderr = n.env, os.Stderr
	in, err := n.process.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.in = in
	out, err := n.process.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.process.Start(); err != nil {
		n.t.Fatal(err)
	}
	ready := make(chan error, 1)
	n.ready = ready
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && !strings.Contains(line, "://") && line != "ready\n" {
			err = fmt.Errorf("the process printed %q", line)
		}
		ready <- err
		io.Copy(io.Discard, out)
	}()
}

func (n *node) await() {
	n.t.Helper()
	if err := <-n.ready; err != nil {
		n.t.Fatal(err)
	}
}

// kill kills the process with SIGKILL, as if its machine lost power.
func (n *node) kill() {
	n.process.Process.Kill()
	n.process.Wait()
	n.in.Close()
}

func (n *node) signal(s os.Signal) {
	n.t.Helper()
	if err := n.process.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// again restarts a process that kill has ended, and waits until the process is
// ready.
func (n *node) again() {
	n.t.Helper()
	n.start()
	n.await()
}

// stop closes the standard input of the process, so that the process ends, and
// waits until it has ended.
func (n *node) stop() error {
	n.in.Close()
	return n.process.Wait()
}

// wait waits until the process ends by itself.
func (n *node) wait() error {
	defer n.in.Close()
	return n.process.Wait()
}

func init() { roles["worker"], roles["client"] = beWorker, beClient }

const (
	stormWorkers = 4
	stormPlaces  = 2                // slots of each worker
	stormTime    = 30 * time.Second // the minimal time for all tasks
)

// mark adds its argument to a file of the worker.
var mark = concert.Register("cluster.test.mark", func(ctx context.Context, i int) (int, error) {
	pause, err := time.ParseDuration(os.Getenv("CLUSTER_TEST_PAUSE"))
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return i, appendLine(os.Getenv("CLUSTER_TEST_FILE"), i)
})

func appendLine(file string, i int) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, i)
	return errors.Join(err, f.Close())
}

// linesOf counts the lines of each number in a file. A missing file counts
// as empty.
func linesOf(file string) (counts map[int]int, lines int, err error) {
	counts = map[int]int{}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return counts, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		var i int
		if _, err := fmt.Sscan(s.Text(), &i); err != nil {
			return nil, 0, fmt.Errorf("%s: %q", file, s.Text())
		}
		counts[i]++
	}
	return counts, lines, nil
}

// beWorker runs a worker until its standard input ends.
func beWorker() error {
	pool := goroutines.New(stormPlaces, nil)
	defer pool.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return cluster.Serve(ctx, os.Getenv("CLUSTER_TEST_URL"), pool, &cluster.ServeOptions{
		Access: cluster.Access{Key: os.Getenv("CLUSTER_TEST_KEY")}, Ready: func() { fmt.Println("ready") },
	})
}

// beClient submits tasks of the function mark, and adds the number of each
// finished task to a file. If the client is started again, it submits the
// same tasks with the same ids, and adds only the numbers that are not in
// the file yet.
func beClient() error {
	var n int
	if _, err := fmt.Sscan(os.Getenv("CLUSTER_TEST_TASKS"), &n); err != nil {
		return err
	}
	file := os.Getenv("CLUSTER_TEST_FILE")
	before, _, err := linesOf(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cluster.WithID(context.Background(), "storm"))
	defer cancel()
	go func() { // the standard input ends when the test ends
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	ex, err := cluster.Dial(ctx, os.Getenv("CLUSTER_TEST_URL"), &cluster.Options{Access: cluster.Access{Key: os.Getenv("CLUSTER_TEST_KEY")}})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	now := map[int]bool{}
	for i, err := range concert.MapUnordered(ctx, ex, mark, upTo(n)) {
		switch {
		case err != nil:
			return err
		case now[i]:
			return fmt.Errorf("the result of task %d arrived twice", i)
		case before[i] == 0:
			if err := appendLine(file, i); err != nil {
				return err
			}
		}
		now[i] = true
	}
	return ex.Close()
}
