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

// A benchmark starts other processes, which run this program in another role:
//
//  1. The process starts a server or a worker, and prints its address.
//  2. The process waits until its standard input ends. This happens when the
//     benchmark ends, even if the process of the benchmark dies.
//  3. The process stops the server or the worker, and removes its files.

func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "be" {
		os.Exit(m.Run())
	}
	// When the user interrupts the benchmark, the terminal also sends the
	// interrupt to this process. This process ignores the interrupt, so that
	// it can do step 3. The benchmark ends, and so step 2 ends soon.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	if err := roles[os.Args[2]](os.Args[3:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var roles = map[string]func(args []string) error{
	"server": beServer, "worker": beWorker, "redis": beRedis, "postgres": bePostgres,
}

// start starts a process in a role, and returns its address. The process ends
// when the benchmark ends.
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
	output := bufio.NewReader(out)
	line, err := output.ReadString('\n')
	at, ok := strings.CutPrefix(strings.TrimSpace(line), "at ")
	if err != nil || !ok {
		rest, _ := io.ReadAll(output)
		b.Fatalf("the %s did not print its address, but: %s%s", role[0], line, rest)
	}
	return at
}

// untilTheEnd prints an address, and waits until the standard input of this
// process ends.
func untilTheEnd(at string) {
	fmt.Println("at", at)
	io.Copy(io.Discard, os.Stdin)
}

// beServer runs a server, which concert and bare JetStream use.
func beServer([]string) error {
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"}) // its directory is a temporary one
	if err != nil {
		return err
	}
	untilTheEnd(s.URL())
	return s.Close()
}

// beWorker runs a worker with one slot. The argument is the URL of its server.
func beWorker(args []string) error {
	ready := func() {
		go func() {
			untilTheEnd(args[0])
			os.Exit(0) // there is nothing to clean up
		}()
	}
	return cluster.Serve(ctx, args[0], goroutines.New(1, nil), &cluster.ServeOptions{Ready: ready})
}
