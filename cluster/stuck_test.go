package cluster_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

// stuckArgument is an argument whose decoder does not return until the test
// releases it.
type stuckArgument struct{}

var (
	stuckDecoders = make(chan struct{}, 1) // receives a value when the decoder has begun
	stuckRelease  chan struct{}            // closed at the end of the test
)

// MarshalBinary runs in the submitter.
func (stuckArgument) MarshalBinary() ([]byte, error) { return []byte{1}, nil }

// UnmarshalBinary runs in the worker.
func (*stuckArgument) UnmarshalBinary([]byte) error {
	release := stuckRelease
	stuckDecoders <- struct{}{}
	<-release
	return nil
}

var takeStuck = concert.Register("cluster_test.takeStuck", func(context.Context, stuckArgument) (int, error) { return 1, nil })

// TestServe_TaskDoesNotEnd: if a task does not end when it is canceled, Serve
// and the Shutdown of the client must still return.
func TestServe_TaskDoesNotEnd(t *testing.T) {
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pool := goroutines.New(2, nil)
	defer pool.Close()
	stuckRelease = make(chan struct{})
	defer close(stuckRelease)
	access := cluster.Access{InProcess: s}
	ctx, stop := context.WithCancel(t.Context())
	notices := make(chan string, 100)
	served := make(chan error, 1)
	go func() {
		served <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access, Grace: time.Millisecond, Notice: func(text string) { notices <- text }})
	}()
	ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: access, Grace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	f := concert.Submit(t.Context(), ex, takeStuck, stuckArgument{})
	<-stuckDecoders
	for f.State() == concert.Pending { // until the hint of the worker has arrived
		time.Sleep(time.Millisecond)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ex.Shutdown(ended); err == nil || !strings.Contains(err.Error(), "takeStuck") {
		t.Errorf("Shutdown() = %v, want an error that names the task", err)
	}
	stop()
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v", err)
	}
	found := false
	for len(notices) > 0 {
		found = strings.Contains(<-notices, "did not return") || found
	}
	if !found {
		t.Error("no notice reports the task that does not end")
	}
}

// TestServe_ReadyFails: if ServeOptions.Ready panics, exits or hangs, the
// worker must continue, and Notice must report the failure.
func TestServe_ReadyFails(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	for name, ready := range map[string]func(){"panics": func() { panic("out of cheese") }, "exits": runtime.Goexit, "hangs": func() { <-release }} {
		t.Run(name, func(t *testing.T) {
			s, err := server.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			pool := goroutines.New(1, nil)
			defer pool.Close()
			access := cluster.Access{InProcess: s}
			ctx, stop := context.WithCancel(t.Context())
			notices := make(chan string, 100)
			served := make(chan error, 1)
			go func() {
				served <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access, Ready: ready, Notice: func(text string) { notices <- text }})
			}()
			if text := <-notices; !strings.Contains(text, "ServeOptions.Ready") {
				t.Errorf("the notice is %q", text)
			}
			stop()
			if err := <-served; err != nil {
				t.Errorf("Serve() = %v", err)
			}
		})
	}
	close(release)
}
