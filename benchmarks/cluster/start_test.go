package cluster

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

// Other processes are this program, which is something else then:
//
//  1. It starts what it is to be, and prints where that is found.
//  2. It waits for the end of its standard input, which comes with the end of
//     the benchmark, whatever that ends by.
//  3. It stops what it has started, and removes what that has stored.

func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "be" {
		os.Exit(m.Run())
	}
	// What a terminal sends to all of its processes is not for this one: see 2.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	if err := roles[os.Args[2]](os.Args[3:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var roles = map[string]func(args []string) error{
	"server": beServer, "worker": beWorker, "redis": beRedis, "postgres": bePostgres,
}

// start starts a process with a role, which ends with the benchmark, and
// returns where it is found.
func start(b *testing.B, role ...string) (at string) {
	b.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"be"}, role...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("the %s: %v", role[0], err)
		}
	})
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	at, ok := strings.CutPrefix(strings.TrimSpace(line), "at ")
	if err != nil || !ok {
		rest, _ := io.ReadAll(said)
		b.Fatalf("the %s says: %s%s", role[0], line, rest)
	}
	return at
}

// untilTheEnd says where this process is found, and waits until it is to end.
func untilTheEnd(at string) {
	fmt.Println("at", at)
	io.Copy(io.Discard, os.Stdin)
}

// beServer is one for concert, and for bare JetStream.
func beServer([]string) error {
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"}) // its directory is a temporary one
	if err != nil {
		return err
	}
	untilTheEnd(s.URL())
	return s.Close()
}

// beWorker is a worker with one place, at the server whose URL is given.
func beWorker(args []string) error {
	ready := func() {
		go func() {
			untilTheEnd(args[0])
			os.Exit(0) // there is nothing to put away
		}()
	}
	return cluster.Serve(ctx, args[0], goroutines.New(1, nil), &cluster.ServeOptions{Ready: ready})
}
