package inputs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// shellCommand returns the command of a script with replacement strings:
//
//	gzip -c {} > {/}.gz
//
// becomes
//
//	sh -c 'SET; gzip -c "$concert_1" > "$concert_2".gz' sh VALUE1 VALUE2
//
// where SET is concert_1=$1 concert_2=$2.
//
// The script is the same for all inputs, and the values are arguments of the
// shell. So no shell ever parses a value as a part of the script, even if the
// scanner below is wrong about the syntax around a replacement. The script uses
// variables and not $1, because variables keep their values in functions and
// after "set" and "shift".
//
// The scanner follows the quotes of the script, to write "$concert_1" outside
// of quotes and ${concert_1} inside of double quotes. It refuses a replacement
// in single quotes, where the shell does not replace a variable. It refuses a
// replacement where the shell or a command would run the value: as the
// program, in arithmetic, and in the arguments of eval and sh -c. It also
// refuses a replacement after syntax that it does not follow to the end, such
// as backquotes and here-documents. After such syntax, the script can use a
// variable that it has set before: x={}; ...
func shellCommand(script string, m *matcher) ([]word, error) {
	s := &scanner{in: script, matcher: m, stack: []frame{{command: true}}}
	if err := s.scan(); err != nil {
		return nil, err
	}
	if len(s.values) == 0 {
		s = &scanner{in: script + " " + m.open + m.close + m.whole, matcher: m, stack: []frame{{command: true}}}
		if err := s.scan(); err != nil || len(s.values) == 0 {
			return nil, errors.New("the script does not say where the input belongs: write {} there")
		}
	}
	var variables []string
	for i := range s.values {
		if i < 9 {
			variables = append(variables, fmt.Sprintf("concert_%d=$%d", i+1, i+1))
		} else {
			variables = append(variables, fmt.Sprintf("concert_%d=${%d}", i+1, i+1))
		}
	}
	var words []word
	for _, text := range []string{"sh", "-c", strings.Join(variables, " ") + "; " + s.out.String(), "sh"} {
		words = append(words, word{{literal: true, text: text}})
	}
	for _, p := range s.values {
		words = append(words, word{p})
	}
	return words, nil
}

// replace writes a variable in place of a replacement string of the given size.
func (s *scanner) replace(p part, size int) error {
	found := s.in[s.at : s.at+size]
	f := s.outer()
	switch {
	case s.unsure != "":
		return s.refuse(found, s.unsure, nil)
	case f.runs() != "":
		return s.refuse(found, f.runs(), nil)
	case f.isProgram():
		return s.refuse(found, "in the name of a program; an input is never run", nil)
	}
	quotes := s.stack[len(s.stack)-1].quotes
	values := []part{p}
	if p.isAll() {
		if quotes || !s.isWord(size) {
			return s.matcher.severalError(found, s.in)
		}
		values = nil
		for i := range s.matcher.width {
			values = append(values, part{value: i, transform: p.transform})
		}
	}
	for i, v := range values {
		n := slices.Index(s.values, v)
		if n < 0 {
			n = len(s.values)
			s.values = append(s.values, v)
		}
		format := ` "$concert_%d"`
		if quotes {
			format = ` ${concert_%d}`
		}
		if i == 0 {
			format = format[1:]
		}
		fmt.Fprintf(&s.out, format, n+1)
	}
	s.at += size
	f.inWord, f.quoted = true, true
	return nil
}

// isWord reports whether the next bytes of the script, whose number is size,
// are a whole argument.
func (s *scanner) isWord(size int) bool {
	f, end := s.outer(), s.at+size
	return !f.inWord && !f.redirect && (end == len(s.in) || strings.ContainsRune(" \t\n;&|<>)", rune(s.in[end])))
}

// refuse returns err if it is not nil. Otherwise it returns the error for a
// replacement string at a position where it cannot be used.
func (s *scanner) refuse(found, where string, err error) error {
	if err != nil {
		return err
	}
	if strings.Contains(where, "; ") { // then the text already says what to do
		return fmt.Errorf("%s cannot be used %s", found, where)
	}
	return fmt.Errorf("%s cannot be used %s: begin the script with x=%s; and write \"$x\" where the shell replaces it", found, where, found)
}
