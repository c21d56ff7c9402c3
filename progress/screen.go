package progress

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// screen writes the output of a Display. Its lock is held during writes, so
// that lines do not mix. Display.Observe does not acquire this lock, so slow
// writes do not block workers.
type screen struct {
	w io.Writer

	mu    sync.Mutex
	drawn string // guarded by mu: the line that changes, or ""
	err   error  // guarded by mu: first error of w
}

const erase = "\r\x1b[K" // returns to the start of the line, and clears the line

// draw replaces the line that changes.
func (s *screen) draw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text != s.drawn {
		s.printLocked(erase + text)
		s.drawn = text
	}
}

// line writes a line that stays, in place of the line that changes.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn != "" {
		text = erase + text
		s.drawn = ""
	}
	s.printLocked(text + "\n")
}

// printLocked writes text. After an error it does nothing.
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

// above is the writer that Display.Above returns.
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

// columns returns the width of the terminal, or 80.
func (s *screen) columns() int {
	if f, ok := s.w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// IsTerminal reports whether w is a terminal on which lines can change: w is an
// *os.File of a terminal, and TERM is not "dumb".
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
