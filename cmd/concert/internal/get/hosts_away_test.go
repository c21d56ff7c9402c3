package get

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"concert/download"
)

// unreachable returns the error of an attempt without a connection.
func unreachable(t *testing.T) error {
	t.Helper()
	c := download.NewClient(&download.ClientOptions{Retries: -1})
	_, err := c.Get(t.Context(), download.Request{URL: "http://127.0.0.1:1/f", Dir: t.TempDir()})
	if !isUnreachable(err) {
		t.Fatalf("port 1 of loopback: %v", err)
	}
	return err
}

// TestHosts_Away: while a host is away, one file at a time makes an attempt,
// with pauses that double. The other files fail after the patience.
func TestHosts_Away(t *testing.T) {
	err := unreachable(t)
	synctest.Test(t, func(t *testing.T) {
		var pauses []time.Duration
		s := newHosts(newList(20, "away", "near"), 8, 4, time.Minute, func(n awayNotice) { pauses = append(pauses, n.pause) })
		begin := time.Now()
		lost, near := 0, 0
		for {
			f, release := start(t, s)
			switch {
			case f == nil:
				if _, ended := s.take(); ended {
					if want := "[1s 2s 4s 8s 15s 15s 15s]"; fmt.Sprint(pauses) != want {
						t.Errorf("pauses %v, want %v", pauses, want)
					}
					if d := time.Since(begin); d.Round(time.Second) != time.Minute || lost != 20 || near != 20 {
						t.Errorf("after %v, %d files of the host are lost, and %d others done", d, lost, near)
					}
					return
				}
				time.Sleep(10 * time.Millisecond)
			case f.lost != nil:
				lost++
				if !strings.Contains(f.lost.Error(), "host unreachable since ") {
					t.Errorf("lost: %v", f.lost)
				}
				s.finished(f, f.lost)
			case f.wanted.host == "near":
				if time.Since(begin) > 0 {
					t.Fatal("a file of another host waited")
				}
				near++
				release(nil)
				s.finished(f, nil)
			default:
				release(err)
				if waits, e := s.finished(f, err); !waits {
					lost++
					if lost != 1 || !strings.Contains(e.Error(), "host unreachable since ") {
						t.Errorf("the last probe: %v", e)
					}
				}
			}
		}
	})
}

// TestHosts_Answer: when the host of a probe has replied, its other files
// continue at once.
func TestHosts_Answer(t *testing.T) {
	err := unreachable(t)
	synctest.Test(t, func(t *testing.T) {
		s := newHosts(newList(10, "away"), 8, 4, time.Minute, func(awayNotice) {})
		var files []*file
		for range 4 {
			f, release := start(t, s)
			files = append(files, f)
			defer release(nil)
		}
		for _, f := range files {
			s.release(t.Context(), f, err)
			if waits, _ := s.finished(f, err); !waits {
				t.Error("the file does not wait")
			}
		}
		if f, _ := start(t, s); f != nil {
			t.Error("a file started in the pause")
		}
		time.Sleep(1100 * time.Millisecond)
		probe, _ := start(t, s)
		if f, _ := start(t, s); f != nil || probe == nil {
			t.Fatalf("probe %v, and another file %v", probe, f)
		}
		s.replied(probe)
		for range 3 {
			if f, _ := start(t, s); f == nil {
				t.Error("a file waits after the reply")
			}
		}
	})
}

// TestHosts_Mirrors: a file with mirrors must not wait for a host that is away,
// and must not fail with a host that is dead.
func TestHosts_Mirrors(t *testing.T) {
	err := unreachable(t)
	mirrors := []string{"http://mirror/f"}
	t.Run("away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			list := newList(3, "away")
			list[0].mirrors, list[1].mirrors = mirrors, mirrors
			s := newHosts(list, 8, 1, time.Minute, func(awayNotice) {})
			for range 2 {
				f, release := start(t, s)
				if f == nil {
					t.Fatal("a file with mirrors waits")
				}
				release(err)
				release, e := s.acquire(t.Context(), f, "mirror")
				if e != nil {
					t.Fatal(e)
				}
				release(nil)
				if waits, _ := s.finished(f, nil); waits {
					t.Error("a complete file waits")
				}
			}
			if f, _ := start(t, s); f != nil {
				t.Error("a file without mirrors started in a pause")
			}
		})
	})
	t.Run("dead", func(t *testing.T) {
		list := newList(2, "away")
		list[1].mirrors = mirrors
		s := newHosts(list, 8, 1, 0, func(awayNotice) {})
		f, release := start(t, s)
		release(err)
		s.finished(f, err)
		f, _ = s.take()
		if f == nil || f.lost != nil {
			t.Fatal("the file with mirrors did not start")
		}
		for _, host := range []string{"away", "mirror"} {
			release, e := s.acquire(t.Context(), f, host)
			if e != nil {
				t.Fatal(e)
			}
			release(err)
		}
		if waits, _ := s.finished(f, err); waits {
			t.Error("the file waits")
		}
		if _, ended := s.take(); !ended {
			t.Error("the list has not ended")
		}
	})
}

// TestHosts_NoPatience: without retries, the files of a host fail at once.
func TestHosts_NoPatience(t *testing.T) {
	err := unreachable(t)
	s := newHosts(newList(3, "away"), 8, 1, 0, func(awayNotice) {})
	f, release := start(t, s)
	release(err)
	if waits, e := s.finished(f, err); waits || !errors.Is(e, syscall.ECONNREFUSED) {
		t.Errorf("the first file: %v, %v", waits, e)
	}
	for range 2 {
		if f, _ := start(t, s); f == nil || f.lost == nil {
			t.Fatal("a file of the host was not given up")
		} else {
			s.finished(f, f.lost)
		}
	}
	if _, ended := s.take(); !ended {
		t.Error("the list has not ended")
	}
}
