package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"concert/cluster/server"
)

// pauseTime is the time for which a process is suspended. It is longer than
// a heartbeat period, and shorter than the time after which the process
// counts as lost.
const pauseTime = 5 * time.Second

// deployment is a server with keys, two workers and a client, each in a
// process.
type deployment struct {
	server, client *node
	workers        [2]*node
	ran, shown     string // names of the file of the function mark, and of the file of beClient
}

func newDeployment(t *testing.T, tasks int) *deployment {
	t.Helper()
	k := newKeyring(t)
	client, work := k.access(server.Client, "someone"), k.access(server.Worker, "somewhere")
	address, dir := freeAddresses(t, 1)[0], t.TempDir()
	r := &deployment{ran: filepath.Join(dir, "ran"), shown: filepath.Join(dir, "shown")}
	r.server = newNode(t, "CLUSTER_TEST_ROLE=server", "CLUSTER_TEST_DIR="+t.TempDir(), "CLUSTER_TEST_KEYRING="+k.dir, "CLUSTER_TEST_LISTEN="+address)
	r.server.await()
	for i := range r.workers {
		r.workers[i] = newNode(t, "CLUSTER_TEST_ROLE=worker", "CLUSTER_TEST_URL=tls://"+address, "CLUSTER_TEST_KEY="+work.Key, "CLUSTER_TEST_FILE="+r.ran, "CLUSTER_TEST_PAUSE=20ms")
	}
	r.client = newNode(t, "CLUSTER_TEST_ROLE=client", "CLUSTER_TEST_URL=tls://"+address, "CLUSTER_TEST_KEY="+client.Key, "CLUSTER_TEST_FILE="+r.shown, fmt.Sprint("CLUSTER_TEST_TASKS=", tasks))
	for _, w := range r.workers {
		w.await()
	}
	r.client.await()
	return r
}

// TestProcess_Paused: if a server, a worker or a client gets no CPU time for
// five seconds, each task must still run once, without an error.
func TestProcess_Paused(t *testing.T) {
	t.Parallel()
	const tasks = 200
	counts := func(file string) (of map[int]int, lines int) {
		t.Helper()
		of, lines, err := linesOf(file)
		if err != nil {
			t.Fatal(err)
		}
		return of, lines
	}
	deployments := map[string]*deployment{}
	for _, role := range []string{"server", "worker", "client"} {
		deployments[role] = newDeployment(t, tasks)
	}
	for role, r := range deployments {
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, n := counts(r.shown); n >= tasks/10 {
				break
			}
			if time.Since(begin) > time.Minute {
				t.Fatalf("%s: no results", role)
			}
		}
	}
	all := func(s os.Signal) {
		t.Helper()
		deployments["server"].server.signal(s)
		deployments["worker"].workers[0].signal(s)
		deployments["client"].client.signal(s)
	}
	all(syscall.SIGSTOP)
	time.Sleep(pauseTime)
	all(syscall.SIGCONT)
	for role, r := range deployments {
		if err := r.client.wait(); err != nil {
			t.Errorf("after a pause of the %s, the client: %v", role, err)
		}
		for _, w := range r.workers {
			if err := w.stop(); err != nil {
				t.Errorf("after a pause of the %s, a worker: %v", role, err)
			}
		}
		ran, _ := counts(r.ran)
		shown, _ := counts(r.shown)
		for i := range tasks {
			if ran[i] != 1 || shown[i] != 1 {
				t.Errorf("after a pause of the %s: task %d ran %d times, and its result was shown %d times", role, i, ran[i], shown[i])
			}
		}
	}
}
