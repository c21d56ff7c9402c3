package get

import (
	"context"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// TestHosts_Silent: up to a limit, the slots of transfers that receive nothing
// must not count. They must count again when bytes arrive.
func TestHosts_Silent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHosts(newList(20, "a", "b"), 2, 20, time.Minute, func(awayNotice) {})
		var files []*file
		take := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			for f, _ := start(t, s); f != nil; f, _ = start(t, s) {
				files = append(files, f)
			}
			if len(files) != want {
				t.Errorf("%d transfers %s, want %d", len(files), when, want)
			}
		}
		take(2, "at the beginning")
		time.Sleep(time.Second)
		s.arrived(files[0])
		time.Sleep(1500 * time.Millisecond)
		take(3, "while one is silent")
		s.arrived(files[1])
		time.Sleep(time.Minute)
		take(8, "while all are silent")
		for _, f := range files {
			s.arrived(f)
		}
		s.release(t.Context(), files[0], nil)
		take(8, "while all receive")
		synctest.Wait()
	})
}

// newList returns a list with a number of files of each host.
func newList(n int, hosts ...string) (list []*wanted) {
	for range n {
		for _, h := range hosts {
			list = append(list, &wanted{host: h})
		}
	}
	return list
}

// start takes the next file, and admits its first attempt.
func start(t *testing.T, s *hosts) (f *file, release func(error)) {
	t.Helper()
	f, _ = s.take()
	if f == nil || f.lost != nil {
		return f, nil
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f.cancel = cancel
	release, err := s.acquire(ctx, f, f.wanted.host)
	if err != nil {
		t.Fatal(err)
	}
	return f, release
}

// TestHosts_Stop: after stop, no file starts, and a waiting attempt fails.
func TestHosts_Stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHosts(newList(5, "a"), 1, 4, time.Minute, func(awayNotice) {})
		f, release := start(t, s)
		release(io.ErrUnexpectedEOF)
		other, _ := start(t, s) // holds the slot now
		failed := make(chan error)
		go func() {
			_, err := s.acquire(t.Context(), f, "a")
			failed <- err
		}()
		synctest.Wait()
		s.stop(errStopped)
		if err := <-failed; err != errStopped {
			t.Errorf("acquire: %v", err)
		}
		s.finished(f, errStopped)
		s.finished(other, errStopped)
		for range s.next() {
			t.Error("a file started after stop")
		}
		if n := s.waiting(); n != 3 {
			t.Errorf("%d files have not started, want 3", n)
		}
	})
}

// TestHosts_SlowHost: a host whose transfers do not end must not get the slots
// of other hosts.
func TestHosts_SlowHost(t *testing.T) {
	s := newHosts(newList(50, "slow", "fast"), 4, 6, time.Minute, func(awayNotice) {})
	slow, fast := 0, 0
	for {
		f, release := start(t, s)
		if f == nil {
			break
		}
		if f.wanted.host == "slow" {
			slow++
			continue
		}
		fast++
		release(nil)
		s.finished(f, nil)
	}
	if fast != 50 || slow != 4 {
		t.Errorf("%d files of the fast host are done, and %d of the slow one started; want 50 and 4", fast, slow)
	}
}

// TestHosts_PerHostHuge: a huge value of perHost must not overflow.
func TestHosts_PerHostHuge(t *testing.T) {
	for _, n := range []int{6, math.MaxInt/4 + 1, math.MaxInt} {
		s := newHosts(newList(1, "h"), 16, n, patience(4), func(awayNotice) {})
		if f, ended := s.take(); f == nil {
			t.Errorf("with %d slots of a host, nothing starts; ended: %v", n, ended)
		}
	}
}

// TestPatience: the patience for a huge number of retries must not overflow.
func TestPatience(t *testing.T) {
	for _, n := range []int{4, 200_000_000, math.MaxInt32, math.MaxInt} {
		if p := patience(n); p != maxPatience {
			t.Errorf("patience(%d) = %v, want %v", n, p, maxPatience)
		}
	}
	if p := patience(1); p != 15*time.Second {
		t.Errorf("patience(1) = %v, want 15s", p)
	}
}
