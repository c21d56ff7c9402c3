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

// TestHosts_Away: while a host is away, only one file makes attempts, and the
// pauses between them double. The other files fail after the patience.
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
	mirrors := &extras{mirrors: []string{"http://mirror/f"}}
	t.Run("away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			list := newList(3, "away")
			list[0].more, list[1].more = mirrors, mirrors
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
		list[1].more = mirrors
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

// TestHosts_NoPatience: without retries, all files of a host must fail at
// once.
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

// TestHosts_ProbeReads: a probe that reads a large file before its attempt
// must not delay the other files of its host.
func TestHosts_ProbeReads(t *testing.T) {
	err := unreachable(t)
	synctest.Test(t, func(t *testing.T) {
		s := newHosts(newList(10, "away"), 8, 2, time.Minute, func(awayNotice) {})
		first, release := start(t, s)
		release(err)
		s.finished(first, err)
		for { // the files that already had a slot fail, too
			f, release := start(t, s)
			if f == nil {
				break
			}
			release(err)
			s.finished(f, err)
		}
		time.Sleep(1100 * time.Millisecond)
		reader, _ := s.take()
		if f, _ := s.take(); reader == nil || f != nil {
			t.Fatalf("the probe is %v, and another file %v started", reader, f)
		}
		s.readsFile(reader)
		probe, release := start(t, s)
		if probe == nil {
			t.Fatal("no other file is the probe while the first one reads")
		}
		if _, e := s.acquire(t.Context(), reader, "away"); e != errAway {
			t.Errorf("an attempt during another probe: %v", e)
		}
		if waits, _ := s.finished(reader, errAway); !waits {
			t.Error("the file that was read does not wait")
		}
		release(err)
		s.finished(probe, err)

		// A file that has finished reading becomes the probe again if the host
		// has no other probe.
		time.Sleep(2100 * time.Millisecond)
		reader, _ = s.take()
		s.readsFile(reader)
		other, _ := s.take()
		s.readsFile(other)
		reader.cancel = func(error) {}
		release, e := s.acquire(t.Context(), reader, "away")
		if e != nil {
			t.Fatal(e)
		}
		if _, e := s.acquire(t.Context(), other, "away"); e != errAway {
			t.Errorf("a second probe: %v", e)
		}
		s.replied(reader)
		release(nil)
		s.finished(reader, nil)
		s.finished(other, errAway)
		if f, _ := start(t, s); f == nil {
			t.Error("a file waits after the reply")
		}
	})
}

// TestHosts_Spent: a file that waits again must keep its number of attempts
// and its start time.
func TestHosts_Spent(t *testing.T) {
	err := unreachable(t)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := newHosts(newList(1, "away"), 8, 1, time.Minute, func(awayNotice) {})
		f, release := start(t, s)
		f.begin, f.attempts = begin, 1
		release(err)
		s.finished(f, err)
		time.Sleep(1100 * time.Millisecond)
		f, release = start(t, s)
		if f == nil || f.attempts != 1 || !f.begin.Equal(begin) {
			t.Fatalf("the file begins again with %+v", f)
		}
		release(nil)
		s.finished(f, nil)
		if len(s.spent) != 0 {
			t.Error("the numbers of a file remain")
		}
	})
}
