package inputs

import (
	"errors"
	"strings"
)

// scanner copies a script (in) to out, with variables for the replacements.
type scanner struct {
	in      string
	at      int // the offset in the script
	out     strings.Builder
	matcher *matcher
	values  []part  // the values of the variables
	stack   []frame // the open quotes and parentheses; the last is the innermost
	unsure  string  // if not empty, the reason why all further replacements are refused
}

// outer returns the frame to which the current word belongs.
func (s *scanner) outer() *frame {
	for i := len(s.stack) - 1; ; i-- {
		if f := &s.stack[i]; !f.quotes {
			return f
		}
	}
}

// copy copies n bytes as part of the current word.
func (s *scanner) copy(n int) {
	n = min(n, len(s.in)-s.at)
	text := s.in[s.at : s.at+n]
	s.out.WriteString(text)
	s.at += n
	f := s.outer()
	f.inWord = true
	f.text = append(f.text, text...)
}

// skip copies n bytes that are not part of a word.
func (s *scanner) skip(n int) {
	s.out.WriteString(s.in[s.at : s.at+n])
	s.at += n
}

// next reports whether the script continues with a text.
func (s *scanner) next(text string) bool { return strings.HasPrefix(s.in[s.at:], text) }

func (s *scanner) scan() error {
	for s.at < len(s.in) {
		p, size, err := s.matcher.match(s.in[s.at:])
		if err != nil {
			return err
		}
		switch f := &s.stack[len(s.stack)-1]; {
		case size > 0:
			err = s.replace(p, size)
		case s.unsure != "":
			s.copy(1)
		case s.next("`"):
			s.unsure = "after a backquote; use $( ) instead"
		case s.next("$(("):
			err = s.simple("$((", "))", "+-*/%$<>=!&|?:,~^ ()", "in arithmetic, where a shell may run it")
		case s.next("$["):
			s.unsure = "after $[, which may run it"
		case s.next("${"):
			err = s.simple("${", "}", ":-+=?#%@*!/.,[] ", "in ${ }")
		case s.next("$("):
			s.copy(2)
			code := s.codeOfOutput()
			s.stack = append(s.stack, frame{command: true, depth: 1, code: code, output: code})
		case s.next("$") && s.isReplaced(s.at+1):
			s.out.WriteByte('\\') // otherwise the shell reads $$, or $"
			s.copy(1)
		case f.quotes:
			s.inQuotes()
		default:
			err = s.outside(f)
		}
		if err != nil {
			return err
		}
	}
	s.outer().end(s)
	if s.unsure == "" && len(s.stack) > 1 {
		return errors.New("a quote or a parenthesis of the script is not closed")
	}
	return nil
}

// isReplaced reports whether a replacement string begins at an offset.
func (s *scanner) isReplaced(at int) bool {
	_, size, err := s.matcher.match(s.in[at:])
	return err == nil && size > 0
}

// codeOfOutput is called at the beginning of $( ). If the shell would run the
// output as code, it returns the reason, and otherwise "".
func (s *scanner) codeOfOutput() string {
	f := s.outer()
	if code := f.runs(); code != "" || !f.isProgram() {
		return code
	}
	return "in $( ) whose output is the name of a program; an input is never run"
}

// simple copies an expansion, such as ${x}, that contains only letters,
// digits, underscores and characters of the parameter others. If there is
// another character, the scanner does not know the end of the expansion, and
// refuses all replacements after it.
func (s *scanner) simple(open, close, others, where string) error {
	s.copy(len(open))
	depth := 0 // of parentheses
	for s.at < len(s.in) {
		if _, size, err := s.matcher.match(s.in[s.at:]); err != nil || size > 0 {
			return s.refuse(s.in[s.at:s.at+size], where, err)
		}
		c := s.in[s.at]
		switch {
		case depth == 0 && s.next(close):
			s.copy(len(close))
			return nil
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		if !isWordByte(c) && !strings.ContainsRune(others, rune(c)) || depth < 0 {
			s.unsure = "after " + open
			return nil
		}
		s.copy(1)
	}
	s.unsure = "after " + open
	return nil
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// inQuotes copies the next character inside of double quotes.
func (s *scanner) inQuotes() {
	switch {
	case s.next(`"`):
		s.copyQuote()
		s.stack = s.stack[:len(s.stack)-1]
	case s.next(`\`) && s.at+1 < len(s.in) && strings.ContainsRune("$`\"\\\n", rune(s.in[s.at+1])):
		s.copy(2)
	case s.next(`\`):
		s.out.WriteByte('\\') // otherwise the backslash in the script would quote the $ of the variable
		s.copy(1)
	default:
		s.copy(1)
	}
}

// copyQuote copies a quote to the output. It does not add the quote to the
// text of the word.
func (s *scanner) copyQuote() {
	s.skip(1)
	f := s.outer()
	f.inWord, f.quoted = true, true
}

// outside handles the next characters of the script, which are not in quotes.
func (s *scanner) outside(f *frame) error {
	switch c := s.in[s.at]; c {
	case '\\':
		if s.next("\\\n") {
			s.skip(2)
			return nil
		}
		f.quoted = true
		s.skip(1)
		s.copy(1)
	case '\'':
		return s.singleQuotes()
	case '"':
		s.copyQuote()
		s.stack = append(s.stack, frame{quotes: true})
	case ' ', '\t':
		f.end(s)
		s.skip(1)
	case '\n', ';', '&', '|':
		f.endCommand(s)
		s.skip(1)
	case '(':
		if s.next("((") {
			s.unsure = "after (("
			return nil
		}
		f.endCommand(s)
		f.depth++
		s.skip(1)
	case ')':
		f.endCommand(s)
		f.depth--
		if f.depth == 0 && len(s.stack) > 1 {
			s.stack = s.stack[:len(s.stack)-1]
			s.copy(1)
			return nil
		}
		s.skip(1)
	case '<', '>':
		s.redirection(f)
	case '#':
		if f.inWord {
			s.copy(1)
			return nil
		}
		for s.at < len(s.in) && s.in[s.at] != '\n' {
			s.skip(1)
		}
	case '=':
		f.assigns = f.assigns || !f.quoted && isVariable(strings.TrimSuffix(string(f.text), "+"))
		s.copy(1)
	default:
		s.copy(1)
	}
	return nil
}

// singleQuotes copies a text in single quotes.
func (s *scanner) singleQuotes() error {
	if f := s.outer(); f.inWord && strings.HasSuffix(s.in[:s.at], "$") {
		s.unsure = "after $'"
		return nil
	}
	s.copyQuote()
	for s.at < len(s.in) && !s.next("'") {
		if _, size, err := s.matcher.match(s.in[s.at:]); err != nil || size > 0 {
			return s.refuse(s.in[s.at:s.at+size], "in single quotes", err)
		}
		s.copy(1)
	}
	if s.at == len(s.in) {
		return errors.New("a single quote of the script is not closed")
	}
	s.skip(1)
	return nil
}

// redirection copies the operator of a redirection.
func (s *scanner) redirection(f *frame) {
	if len(f.text) == 0 || strings.Trim(string(f.text), "0123456789") != "" || f.quoted {
		f.end(s)
	}
	f.inWord, f.text, f.quoted, f.redirect = false, nil, false, true
	switch {
	case s.next("<<"):
		s.unsure = "after <<"
	case s.next(">>"), s.next(">&"), s.next("<&"), s.next(">|"), s.next("<>"):
		s.skip(2)
	default:
		s.skip(1)
	}
}
