package cluster_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/executortest"
	"concert/goroutines"
	"concert/internal/isolated"
	"concert/internal/race"
)

// TestMain runs the tests. In a process that a test has started as a server,
// a worker or a client, TestMain runs this server, worker or client instead.
func TestMain(m *testing.M) {
	be, other := roles[os.Getenv("CLUSTER_TEST_ROLE")]
	if !other {
		os.Exit(tidily(m))
	}
	if err := be(); err != nil {
		fmt.Println(err)
		fmt.Fprintln(os.Stderr, os.Getenv("CLUSTER_TEST_ROLE")+":", err)
		os.Exit(1)
	}
}

// tidily runs the tests, and fails if temporary files remain after the tests.
func tidily(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cluster-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("TMPDIR", dir)
	flag.Set("test.parallel", "8") // parallel tests mostly wait
	code := m.Run()
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		fmt.Fprintf(os.Stderr, "temporary files remain after the tests: %v, %v\n", left, err)
		return 1
	}
	return code
}

var roles = map[string]func() error{"server": beServer}

// beServer runs a server until its standard input ends.
func beServer() error {
	opts := &server.Options{Dir: os.Getenv("CLUSTER_TEST_DIR"), Listen: "127.0.0.1:0"}
	replicas := 1
	keyring := os.Getenv("CLUSTER_TEST_KEYRING")
	if keyring != "" {
		var err error
		if opts.Keyring, err = server.OpenKeyring(keyring); err != nil {
			return err
		}
	}
	if at := os.Getenv("CLUSTER_TEST_LISTEN"); at != "" {
		opts.Listen = at
	}
	if at := os.Getenv("CLUSTER_TEST_JOIN"); at != "" { // the addresses of all servers, this server first
		others := strings.Split(at, ",")
		opts.Join, replicas = &server.Join{Name: "at-" + strings.ReplaceAll(others[0], ".", "-"), Listen: others[0], Others: others[1:]}, 3
		opts.Advertise, opts.Join.Advertise, _ = strings.Cut(os.Getenv("CLUSTER_TEST_ADVERTISE"), ",")
	}
	s, err := server.New(opts)
	if err != nil {
		return err
	}
	defer s.Close()
	if keyring != "" {
		if err := s.Setup(context.Background(), replicas); err != nil {
			return err
		}
	}
	fmt.Println(s.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startServer starts a server in a new process. For a server without a keyring,
// the parameter is "".
func startServer(t *testing.T, keyring string) (url string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_ROLE=server", "CLUSTER_TEST_DIR="+t.TempDir(), "CLUSTER_TEST_KEYRING="+keyring)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if url = strings.TrimSpace(line); err != nil || !strings.Contains(url, "://") {
		t.Fatalf("the server prints %q, error %v; want its URL", line, err)
	}
	return url
}

// rig is a client and its worker. Close closes both.
type rig struct {
	*cluster.Executor
	end func()
}

// Close closes the client, and then the worker.
func (r *rig) Close() error {
	err := r.Executor.Close()
	r.end()
	return err
}

func newRig(t *testing.T, url string, client, work cluster.Access, c executortest.Config) *rig {
	t.Helper()
	pool := goroutines.New(c.Workers, nil)
	opts := &cluster.ServeOptions{Access: work, Slots: c.Workers, Notice: func(s string) { t.Log(s) }}
	cluster.ShortPulls(opts, 5*time.Millisecond, 40*time.Millisecond) // each case has its own worker, which drains at the end
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := cluster.Serve(ctx, url, pool, opts); err != nil {
			panic(err) // a caller that waits for a worker would wait forever
		}
	})
	ex, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: client, Queue: c.Queue, Grace: c.Grace, Observer: c.Observer, Notice: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{ex, sync.OnceFunc(func() {
		stop()
		serving.Wait()
		pool.Close()
	})}
}

// TestConformance: the suite of package executortest must pass with a server in
// this process, with a server in another process without keys, and with a
// server that has keys and TLS.
func TestConformance(t *testing.T) {
	t.Parallel()
	isolated.Run(t,
		isolated.Test{Name: "embedded", Split: firstHalf, Run: func(t *testing.T) {
			s := embedded(t, "")
			defer s.Close()
			access := cluster.Access{InProcess: s}
			// The suite counts goroutines. The server starts some of its
			// goroutines with its first task, so this task must run before the
			// suite.
			first := newRig(t, "", access, access, executortest.Config{Workers: 1, Queue: 1})
			if _, err := concert.Submit(t.Context(), first, square, 1).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
			first.Close()
			conformance(t, "", access, access)
		}},
		isolated.Test{Name: "open", Split: firstHalf, Run: func(t *testing.T) {
			if testing.Short() {
				t.Skip("not with -short: only the network differs from the embedded server")
			}
			conformance(t, startServer(t, ""), cluster.Access{}, cluster.Access{})
		}},
		isolated.Test{Name: "keys", Split: firstHalf, Run: func(t *testing.T) {
			if testing.Short() || race.Enabled {
				t.Skip("runs only without -short and without the race detector")
			}
			k := newKeyring(t)
			client, work := k.access(server.Client, "someone"), k.access(server.Worker, "somewhere")
			conformance(t, startServer(t, k.dir), client, work)
		}})
}

// firstHalf matches the names of about half of the cases of the suite.
const firstHalf = "^[A-M]"

func conformance(t *testing.T, url string, client, work cluster.Access) {
	executortest.Run(t, executortest.Traits{Far: true}, func(c executortest.Config) concert.Executor { return newRig(t, url, client, work, c) })
}

// upTo yields the numbers below n.
func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
