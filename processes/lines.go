package processes

import "bytes"

// lineKind says how a line of a worker's output ended.
type lineKind uint8

const (
	whole  lineKind = iota // ended by "\n" or "\r\n", split after maxLine bytes, or at the end of the output
	update                 // ended by "\r", or has not ended: the next output overwrites it, as in a progress bar
	repeat                 // was emitted as an update, and has ended by "\n" since
)

// lineSplitter splits the output of a worker into lines. A progress bar writes
// "\r" and its text repeatedly. The splitter emits each of these texts at once,
// because a "\n" may never follow. But if a whole line is read together with
// its "\n", a "\r" within the line is a part of the line.
type lineSplitter struct {
	emit func(line []byte, kind lineKind) // line includes its "\n"; emit must not keep line

	rest  []byte // the beginning of a line whose end the splitter has not received
	after byte   // the character that ended the previous line
	shown bool   // rest was emitted as an update
}

// add adds output that was read by one system call.
func (c *lineSplitter) add(b []byte) {
	for len(b) > 0 {
		if b[0] == '\n' && c.after == '\r' && len(c.rest) == 0 { // the second part of "\r\n"
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
		if room := maxLine - len(c.rest); n > room {
			n, end = room, false
		}
		if n > 0 {
			c.rest = append(c.rest, b[:n]...)
			c.shown = false
		}
		b = b[n:]
		switch {
		case !end:
			if len(c.rest) == maxLine {
				c.cut(whole)
			}
		case bytes.HasPrefix(b, []byte("\r\n")):
			b = b[1:] // remove the "\r"; then b[0] is the "\n"
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

// end emits the last line if the output has ended without a "\n".
func (c *lineSplitter) end() {
	if len(c.rest) > 0 {
		c.cut(whole)
	}
}

func (c *lineSplitter) cut(kind lineKind) {
	switch {
	case !c.shown:
		c.emit(c.rest, kind)
	case kind == whole:
		c.emit(c.rest, repeat)
	}
	c.rest, c.shown = c.rest[:0], false
}
