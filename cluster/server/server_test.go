package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

var square = concert.Register("server_test.square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// A cluster of one machine, in one process: all that changes for many is the URL.
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

func TestListen(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "192.0.2.1:4222", "localhost", "[::]:0", "127.0.0.1"} {
		if s, err := server.New(&server.Options{Listen: address}); err == nil {
			s.Close()
			t.Errorf("it listens on %s", address)
		}
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

// TestFolder: a folder of the user's stays, and one of its own does not.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	s, err := server.New(&server.Options{Folder: dir})
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
		t.Errorf("left behind: %v", left)
	}
	if _, err := server.New(&server.Options{Folder: "/dev/null/no"}); err == nil {
		t.Error("it stores what it is given nowhere")
	}
}
