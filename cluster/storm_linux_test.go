package cluster_test

import (
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert/cluster/server"
)

var storm = flag.Int("storm", 0, "the number of tasks of TestStorm, such as 2000; 0 skips the test")

// stormNetwork is three servers and the network between all processes.
//
//	client, workers --> front[i]      --> server i
//	server i        --> between[i][j] --> server j   at the address in the configuration of server i
//	server i        --> around[j]     --> server j   at the address that server j advertises
type stormNetwork struct {
	servers []*node
	front   []*proxy
	between [][]*proxy
	around  []*proxy
}

func newStormNetwork(t *testing.T, k *keyring) *stormNetwork {
	t.Helper()
	const n = 3
	addresses := freeAddresses(t, 2*n)
	w := &stormNetwork{between: make([][]*proxy, n)}
	for i := range n {
		w.front = append(w.front, newProxy(t, addresses[n+i]))
		w.around = append(w.around, newProxy(t, addresses[i]))
		for j := range n {
			w.between[i] = append(w.between[i], newProxy(t, addresses[j]))
		}
	}
	for i := range n {
		join := []string{addresses[i]}
		for j := range n {
			if j != i {
				join = append(join, w.between[i][j].address())
			}
		}
		w.servers = append(w.servers, newNode(t, "CLUSTER_TEST_ROLE=server", "CLUSTER_TEST_DIR="+t.TempDir(), "CLUSTER_TEST_KEYRING="+k.dir,
			"CLUSTER_TEST_JOIN="+strings.Join(join, ","), "CLUSTER_TEST_LISTEN="+addresses[n+i],
			"CLUSTER_TEST_ADVERTISE="+w.front[i].address()+","+w.around[i].address()))
	}
	for _, s := range w.servers {
		s.await()
	}
	return w
}

func freeAddresses(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

func (w *stormNetwork) url() string {
	var all []string
	for _, p := range w.front {
		all = append(all, "tls://"+p.address())
	}
	return strings.Join(all, ",")
}

// alone sets the state of all connections of a server: with its clients, its
// workers and the other servers.
func (w *stormNetwork) alone(i int, s proxyState) {
	ways := []*proxy{w.front[i], w.around[i]}
	for j := range w.servers {
		ways = append(ways, w.between[i][j], w.between[j][i])
	}
	for _, p := range ways {
		p.set(s)
	}
}

// TestStorm: if servers, workers and the client are killed under load, and the
// network is cut, each task must run at least once, and its result must arrive
// once.
func TestStorm(t *testing.T) {
	if *storm == 0 {
		t.Skip("the test takes two minutes: run it with -storm 2000")
	}
	k := newKeyring(t)
	client, work := k.access(server.Client, "someone"), k.access(server.Worker, "somewhere")
	w := newStormNetwork(t, k)
	dir := t.TempDir()
	var workers []*node
	for i := range stormWorkers {
		workers = append(workers, newNode(t, "CLUSTER_TEST_ROLE=worker", "CLUSTER_TEST_URL="+w.url(), "CLUSTER_TEST_KEY="+work.Key,
			"CLUSTER_TEST_FILE="+filepath.Join(dir, fmt.Sprint("ran", i)), fmt.Sprint("CLUSTER_TEST_PAUSE=", stormTime*stormPlaces*stormWorkers/time.Duration(*storm))))
	}
	for _, n := range workers {
		n.await()
	}
	shown := filepath.Join(dir, "shown")
	c := newNode(t, "CLUSTER_TEST_ROLE=client", "CLUSTER_TEST_URL="+w.url(), "CLUSTER_TEST_KEY="+client.Key, "CLUSTER_TEST_FILE="+shown, fmt.Sprint("CLUSTER_TEST_TASKS=", *storm))
	c.await()

	// The function until waits for n results, and returns the longest time
	// in which no result arrived.
	reached := 0
	until := func(n int) (stall time.Duration) {
		t.Helper()
		n = min(n, *storm)
		last := time.Now()
		for begin := last; reached < n; time.Sleep(10 * time.Millisecond) {
			_, lines, err := linesOf(shown)
			if err != nil {
				t.Fatal(err)
			}
			if lines > reached {
				reached, last = lines, time.Now()
			}
			stall = max(stall, time.Since(last))
			if time.Since(begin) > 2*time.Minute {
				t.Fatalf("after %d of %d results, no result arrives for %v", reached, *storm, time.Since(last))
			}
		}
		return stall
	}
	step := *storm / 20
	for _, fault := range []struct {
		name        string
		begin, over func()
	}{
		{"a worker is killed", workers[0].kill, workers[0].again},
		{"a server is killed", w.servers[0].kill, w.servers[0].again},
		{"another server is killed", w.servers[1].kill, w.servers[1].again},
		{"the third server is killed", w.servers[2].kill, w.servers[2].again},
		{"a server is cut off, and connections to it stay", func() { w.alone(0, silent) }, func() { w.alone(0, open) }},
		{"another server is cut off, and connections to it end", func() { w.alone(1, cut) }, func() { w.alone(1, open) }},
		{"the client is killed and started again", func() { c.kill(); c.again() }, func() {}},
		{"the network is down for three seconds", func() {
			for i := range w.servers {
				w.alone(i, cut)
			}
			time.Sleep(3 * time.Second) // the duration of the fault
			for i := range w.servers {
				w.alone(i, open)
			}
		}, func() {}},
		{"a server, a worker and the client are suspended for five seconds", func() {
			for _, n := range []*node{w.servers[1], workers[3], c} {
				n.signal(syscall.SIGSTOP)
				defer n.signal(syscall.SIGCONT)
			}
			time.Sleep(pauseTime)
		}, func() {}},
		{"two workers are killed", func() { workers[1].kill(); workers[2].kill() }, func() { workers[1].again(); workers[2].again() }},
	} {
		until(reached + step)
		fault.begin()
		t.Logf("%s: no results for %v", fault.name, until(reached+step).Round(10*time.Millisecond))
		fault.over()
	}
	t.Logf("after the last fault: no results for %v", until(*storm).Round(10*time.Millisecond))
	if err := c.wait(); err != nil {
		t.Errorf("the client: %v", err)
	}

	once, _, err := linesOf(shown)
	if err != nil {
		t.Fatal(err)
	}
	ran, twice := map[int]int{}, 0
	for i := range workers {
		counts, lines, err := linesOf(filepath.Join(dir, fmt.Sprint("ran", i)))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("worker %d ran %d tasks", i, lines)
		for task, n := range counts {
			ran[task] += n
		}
	}
	for i := range *storm {
		if ran[i] == 0 || once[i] != 1 {
			t.Errorf("task %d ran %d times, and its result was shown %d times", i, ran[i], once[i])
		}
		if ran[i] > 1 {
			twice++
		}
	}
	t.Logf("%d of %d tasks ran more than once", twice, *storm)
	for i, n := range workers {
		if err := n.stop(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
}
