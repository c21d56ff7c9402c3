package get

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"concert/download"
)

// away is the state of a host that cannot be reached.
//
//	          a connection failed            the pause ended
//	reachable -------------------> a pause -----------------> a probe
//	    ^                             ^                        | | |
//	    |                             +--- the probe failed ---+ | |
//	    +------------------ the host answered -------------------+ |
//	                dead <--- the probe failed after patience -----+
//
// In a pause, no attempt starts. After it, one file, the probe, makes an
// attempt. The pauses double. The other files of the host wait as if they had
// not started, so they use up none of their attempts. When the host has
// replied, or an attempt has failed for a reason other than the connection,
// all files continue. When the host is dead, all files fail at once. If the
// probe first reads an existing file, another file becomes the probe.
//
// A file with mirrors does not wait: it makes its own attempts, at all of its
// hosts in turn.
//
// A host that refuses a connection is not dead while another transfer from it
// has a reply. It only refuses further connections.
type away struct {
	since  time.Time // the time at which the first connection failed; zero if the host is reachable
	pause  time.Duration
	timer  *time.Timer // runs during a pause
	paused bool
	probe  *file // the file that makes an attempt
	dead   bool
	err    error // the last error, for the user
}

const (
	minAwayPause = time.Second
	maxAwayPause = 15 * time.Second
	maxPatience  = 60 * time.Second
)

// patience returns the time for which files wait for a host that is away. It
// depends on the number of retries, because a user who sets few retries does
// not want to wait for a minute.
func patience(retries int) time.Duration {
	return time.Duration(min(retries, 4)) * (maxPatience / 4)
}

// errAway is the error of an attempt that did not start because its host is
// away.
var errAway = errors.New("the host cannot be reached")

// lostError is the error of a file whose host was given up.
type lostError struct {
	host error // the reason, and the time since when the host is away
	file error // the error of the download
}

// Error returns the error of the host.
func (e *lostError) Error() string { return e.host.Error() }

// Unwrap returns the error of the download.
func (e *lostError) Unwrap() error { return e.file }

// awayNotice says that a host is away.
type awayNotice struct {
	host  string
	pause time.Duration // the time until the next attempt; 0 if the host is given up
	since time.Time
	err   error
}

func (a *away) isAway() bool { return !a.since.IsZero() }

// mayTry reports whether an attempt may start.
func (a *away) mayTry() bool { return !a.isAway() || !a.paused && a.probe == nil }

// isUnreachable reports whether an attempt failed because there was no
// connection.
func isUnreachable(err error) bool {
	e, ok := errors.AsType[*download.Error](err)
	return ok && e.Unreachable()
}

// isAwayError reports whether a download ended because its host is away.
func isAwayError(err error) bool { return errors.Is(err, errAway) || isUnreachable(err) }

// unreachableLocked records that a connection of a file to a host failed.
func (s *hosts) unreachableLocked(f *file, h *host, err error) {
	e, _ := errors.AsType[*download.Error](err)
	if h.dead || !h.isAway() && !e.Temporary() {
		return // a permanent error, such as an unknown host, makes only this file fail
	}
	now := time.Now()
	switch {
	case !h.isAway():
		if s.patience == 0 && s.repliesLocked(h) {
			return
		}
		h.since, h.pause = now, minAwayPause
		h.refuseAway()
	case f == h.probe:
		h.probe = nil
		h.pause = min(2*h.pause, maxAwayPause)
	default:
		s.endLocked(f, h)
		return // this attempt began before the host was away
	}
	h.err = fmt.Errorf("cannot %s: %w", e.Op, e.Err)
	if now.Sub(h.since) >= s.patience && !s.repliesLocked(h) {
		s.giveUpLocked(h)
	} else {
		s.pauseLocked(h)
	}
	s.endLocked(f, h)
}

// endLocked ends the download of a file whose host is away, so that it does
// not use up its attempts. A file that has mirrors continues with a mirror.
func (s *hosts) endLocked(f *file, h *host) {
	if f.host == h && len(f.mirrors()) == 0 {
		f.refused, f.pause = true, h.pause
		f.cancel(errAway)
	}
}

// refuseAway makes the waiters of a host return an error. Waiters for files
// with mirrors continue to wait.
func (h *host) refuseAway() {
	h.resume = slices.DeleteFunc(h.resume, func(w *waiter) bool {
		if len(w.file.mirrors()) > 0 {
			return false
		}
		w.file.refused = true
		w.ready <- errAway
		return true
	})
}

// repliesLocked reports whether a transfer from a host has a reply.
func (s *hosts) repliesLocked(h *host) bool {
	for f := range s.holders {
		if f.slot == h && f.replied {
			return true
		}
	}
	return false
}

// pauseLocked starts a pause.
func (s *hosts) pauseLocked(h *host) {
	h.paused = true
	h.timer = time.AfterFunc(h.pause, func() {
		s.mu.Lock()
		defer s.unlock()
		h.paused = false
		s.placeLocked(h)
	})
	s.notices = append(s.notices, awayNotice{h.name, h.pause, h.since, h.err})
	s.placeLocked(h)
}

// giveUpLocked makes the remaining files of a host fail.
func (s *hosts) giveUpLocked(h *host) {
	h.dead = true
	if since := time.Since(h.since); since >= time.Second {
		h.err = fmt.Errorf("%w; host unreachable since %s, for %.0f s", h.err, h.since.Format(time.TimeOnly), since.Seconds())
	} else {
		h.err = fmt.Errorf("%w; host unreachable since %s", h.err, h.since.Format(time.TimeOnly))
	}
	h.refuseAway()
	if h.hasTodo() {
		s.lost = append(s.lost, h)
	}
	s.placeLocked(h)
}

// answeredLocked makes the files of a host continue.
func (s *hosts) answeredLocked(h *host) {
	if h.isAway() && !h.dead {
		h.timer.Stop()
		h.away = away{}
		s.placeLocked(h)
	}
}
