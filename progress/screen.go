package progress

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// screen is where a Display writes. Its lock is held while writing: that is
// what it is for. No worker takes it.
type screen struct {
	w io.Writer

	mu    sync.Mutex
	drawn string // guarded by mu: the line that changes, if it is there
	err   error  // guarded by mu: the first of w
}

const erase = "\r\x1b[K" // to the start of the line, and clear it

// draw replaces the line that changes.
func (s *screen) draw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != s.drawn {
		s.printLocked(erase + text)
		s.drawn = text
	}
}

// line writes a line that stays, instead of the one that changes.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn != "" {
		text = erase + text
		s.drawn = ""
	}
	s.printLocked(text + "\n")
}

// printLocked writes, until there was an error.
func (s *screen) printLocked(text string) {
	if s.err == nil {
		n, err := io.WriteString(s.w, text)
		if err == nil && n < len(text) {
			err = io.ErrShortWrite
		}
		s.err = err
	}
}

func (s *screen) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// above is a writer whose lines appear above the one that changes.
type above struct {
	d *Display
	w io.Writer
}

// Write erases the line that changes, writes p, and draws the line again.
func (a above) Write(p []byte) (int, error) {
	s := &a.d.screen
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn == "" {
		return a.w.Write(p)
	}
	s.printLocked(erase)
	n, err := a.w.Write(p)
	s.printLocked(s.drawn)
	return n, err
}

// columns returns how wide the terminal is, or 80.
func (s *screen) columns() int {
	if f, ok := s.w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// IsTerminal reports whether w is a terminal on which lines can change: an
// *os.File that is one, and TERM is not "dumb".
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
