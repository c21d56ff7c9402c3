package processes

import "bytes"

// lineKind is how a line of a worker's output ended.
type lineKind uint8

const (
	whole  lineKind = iota // by "\n" or "\r\n", by its length, or with the output
	update                 // by "\r", or not yet: what comes next overwrites it, as a progress bar does
	repeat                 // it has been given as an update, and now ended by "\n"
)

// lineCutter cuts what a worker prints into lines, as they come. A progress bar
// writes "\r" and its text again and again: each of these is given at once,
// without the end that it may never have. A "\r" within a line that comes as a
// whole is a part of it.
type lineCutter struct {
	emit func(line []byte, kind lineKind) // line ends with "\n" if it did, and is not to be kept

	rest  []byte
	after byte // the character that ended the line before
	shown bool // rest has been given as an update
}

// add takes what came together.
func (c *lineCutter) add(b []byte) {
	for len(b) > 0 {
		if b[0] == '\n' && c.after == '\r' && len(c.rest) == 0 { // of "\r\n", in two parts
			c.after = '\n'
			b = b[1:]
			continue
		}
		n := bytes.IndexAny(b, "\r\n")
		if whole := bytes.IndexByte(b, '\n'); whole >= 0 && c.after != '\r' && b[0] != '\r' {
			if n = whole; n > 0 && b[n-1] == '\r' {
				n--
			}
		}
		end := n >= 0
		if !end {
			n = len(b)
		}
		if room := longestLine - len(c.rest); n > room {
			n, end = room, false
		}
		if n > 0 {
			c.rest = append(c.rest, b[:n]...)
			c.shown = false
		}
		b = b[n:]
		switch {
		case !end:
			if len(c.rest) == longestLine {
				c.cut(whole)
			}
		case bytes.HasPrefix(b, []byte("\r\n")):
			b = b[1:] // the "\n" is next
		default:
			c.after = b[0]
			b = b[1:]
			if c.after == '\n' {
				c.rest = append(c.rest, '\n')
				c.cut(whole)
			} else if len(c.rest) > 0 {
				c.cut(update)
			}
		}
	}
	if c.after == '\r' && len(c.rest) > 0 && !c.shown {
		c.emit(c.rest, update)
		c.shown = true
	}
}

// end gives what is left when nothing more comes.
func (c *lineCutter) end() {
	if len(c.rest) > 0 {
		c.cut(whole)
	}
}

func (c *lineCutter) cut(kind lineKind) {
	switch {
	case !c.shown:
		c.emit(c.rest, kind)
	case kind == whole:
		c.emit(c.rest, repeat)
	}
	c.rest, c.shown = c.rest[:0], false
}
