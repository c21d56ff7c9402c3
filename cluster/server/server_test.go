package server_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

var square = concert.Register("server_test.square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// This is a cluster in one process on one machine. With more machines, only the
// URL changes.
func ExampleNew() {
	s, err := server.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	access := cluster.Access{InProcess: s}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	worker := concert.Go(ctx, func(ctx context.Context) (struct{}, error) {
		pool := goroutines.New(2, nil)
		defer pool.Close()
		return struct{}{}, cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access})
	})

	ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access, Notice: func(string) {}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n, err := range concert.Map(ctx, ex, square, slices.Values([]int{1, 2, 3})) {
		fmt.Println(n, err)
	}
	ex.Close()
	stop()
	_, err = worker.Result(context.Background())
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
	// <nil>
}

// A server with keys: the holder of the key "ann" may only submit tasks.
func ExampleKeyring_Add() {
	dir, err := os.MkdirTemp("", "keyring-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	keyring, err := server.NewKeyring(filepath.Join(dir, "keyring"))
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := keyring.Add(server.Client, "ann") // for ann; the server does not store it
	if err != nil {
		fmt.Println(err)
		return
	}
	file := filepath.Join(dir, "ann.key")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		fmt.Println(err)
		return
	}
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0", Keyring: keyring})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	if err := s.Setup(ctx, 1); err != nil {
		fmt.Println(err)
		return
	}
	ex, err := cluster.Dial(ctx, s.URL(), &cluster.Options{Access: cluster.Access{Key: file}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ex.Close())
	holders, err := keyring.Holders()
	fmt.Println(holders[0].Role, holders[0].Name, err)
	// Output:
	// <nil>
	// client ann <nil>
}

func TestListen_WithoutKeyring(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "192.0.2.1:4222", "localhost", "[::]:0", "127.0.0.1"} {
		t.Run(address, func(t *testing.T) {
			if s, err := server.New(&server.Options{Listen: address}); err == nil {
				s.Close()
				t.Errorf("a server without a keyring listens on %s", address)
			}
		})
	}
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
		t.Errorf("URL %s", s.URL())
	}
	ex, err := cluster.Dial(t.Context(), s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

// TestDir_Kept: Close must keep the directory of Options.Dir, and remove a
// temporary directory that New has made.
func TestDir_Kept(t *testing.T) {
	dir := t.TempDir()
	s, err := server.New(&server.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	if s, err = server.New(nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("temporary files remain: %v", left)
	}
	if _, err := server.New(&server.Options{Dir: "/dev/null/no"}); err == nil {
		t.Error("New accepts a directory that cannot be created")
	}
}

// TestNew_Occupied: if a server uses a directory, New of another server must
// return an error for this directory. When the first server is closed, New must
// succeed.
func TestNew_Occupied(t *testing.T) {
	dir := t.TempDir()
	one, err := server.New(&server.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if two, err := server.New(&server.Options{Dir: dir}); err == nil {
		two.Close()
		t.Error("a second server uses the directory")
	} else if !strings.Contains(err.Error(), "another server uses "+dir) {
		t.Error(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	two, err := server.New(&server.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Close(); err != nil {
		t.Error(err)
	}
}

// TestNew_PortInUse: if another program listens on the address, New must return
// at once, with an error that has the address and the reason.
func TestNew_PortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	begin := time.Now()
	s, err := server.New(&server.Options{Listen: at})
	if err == nil {
		s.Close()
		t.Fatal("no error")
	}
	if text := err.Error(); !strings.HasPrefix(text, "server: cannot start: listen tcp "+at+": ") || time.Since(begin) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}
