package cluster_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
)

var three = flag.Bool("three", false, "kill each of three servers in turn")

// node is one of three servers, a process of its own.
type node struct {
	t       *testing.T
	env     []string
	listen  string
	process *exec.Cmd
	in      io.Closer
	ready   chan error
}

// threeNodes starts three servers that are one cluster, with a keyring.
func threeNodes(t *testing.T, k *keyring) []*node {
	t.Helper()
	addresses := freeAddresses(t, 6)
	var nodes []*node
	for i := range 3 {
		join := append([]string{addresses[i]}, slices.Delete(slices.Clone(addresses[:3]), i, i+1)...)
		n := &node{t: t, listen: addresses[3+i], env: append(os.Environ(), "CLUSTER_TEST_SERVER="+t.TempDir(), "CLUSTER_TEST_KEYRING="+k.folder,
			"CLUSTER_TEST_JOIN="+strings.Join(join, ","), "CLUSTER_TEST_LISTEN="+addresses[3+i])}
		n.start()
		t.Cleanup(n.kill)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.await()
	}
	return nodes
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
		if err == nil && !strings.HasPrefix(line, "tls://") {
			err = fmt.Errorf("the server says %q", line)
		}
		ready <- err
	}()
}

// await waits until the server is there and all is set up.
func (n *node) await() {
	n.t.Helper()
	if err := <-n.ready; err != nil {
		n.t.Fatal(err)
	}
}

// kill kills the server as a machine does that loses its power.
func (n *node) kill() {
	n.process.Process.Kill()
	n.process.Wait()
	n.in.Close()
}

// TestThree: of three servers each is killed in turn, with tasks under way: each task has its result, once.
func TestThree(t *testing.T) {
	if !*three {
		t.Skip("servers that are left choose who leads, which takes most of a minute: run it with -three")
	}
	k := newKeyring(t)
	client, work := k.access(server.Client, "someone"), k.access(server.Worker, "somewhere")
	nodes := threeNodes(t, k)
	var urls []string
	for _, n := range nodes {
		urls = append(urls, "tls://"+n.listen)
	}
	url := strings.Join(urls, ",")
	for range 2 {
		serveAt(t, url, work, 2)
	}
	ex, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: client, Notice: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	const each = 300
	killed := 0
	n := 0
	for got, err := range concert.Map(t.Context(), ex, count, upTo(each*(len(nodes)+1))) {
		if err != nil || got != n*n {
			t.Fatalf("result %d: %d, %v", n, got, err)
		}
		if n++; n%each == each/2 && killed < len(nodes) {
			if killed > 0 {
				nodes[killed-1].start()
				nodes[killed-1].await()
			}
			nodes[killed].kill()
			killed++
		}
	}
	if n != each*(len(nodes)+1) {
		t.Errorf("%d results", n)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
