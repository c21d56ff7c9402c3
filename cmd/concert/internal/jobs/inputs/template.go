package inputs

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"concert/cmd/concert/internal/cli"
)

// Template makes the arguments of a job from an input. Its methods can be
// called concurrently.
type Template struct {
	words []word
}

// word is one argument of a command: a sequence of literal texts and
// replacements.
type word []part

// part is a literal text, or a replacement if it is not literal.
type part struct {
	literal bool
	text    string

	number    bool // the number of the input
	value     int  // the index of the value; all values if it is negative
	transform string
}

// all is the value of a part that stands for all values of an input.
const all = -1

// Syntax has the settings with which Parse reads the words of a command.
type Syntax struct {
	Width   int      // the number of values of each input; 0 stands for 1
	Columns []string // the names of the values, from a CSV file

	// Instead is the replacement string that the command uses instead of {},
	// like the argument of xargs -I. If it is one of the pairs [], () and <>,
	// all replacement strings use this pair, as in [.] and [1]. Otherwise it
	// is the only replacement string.
	Instead string

	// Shell says that the command is a single word, which is a script for sh.
	Shell bool
}

// Parse reads the words of a command. The errors are cli.UsageError.
//
// These parts of words are replaced in the arguments of a command:
//
//	{}     the input              {.}    without its extension
//	{/}    without its directory  {//}   its directory
//	{/.}   without both           {#}    the number of the input, from 1
//	{2}    the second value of an input; {2.}, {2/}, {2//} and {2/.} too;
//	{-1}   the last value, and so on
//	{name} the value in this column; {name.} and so on too
//
// Other text in braces is not changed. If nothing is replaced, then the input
// is appended. If an input has several values, an argument {} becomes one
// argument for each value.
func Parse(command []string, syntax *Syntax) (*Template, error) {
	if syntax == nil {
		syntax = &Syntax{}
	}
	m := newMatcher(syntax)
	if len(command) == 0 {
		return nil, usage(errors.New("no command"))
	}
	if syntax.Shell {
		if len(command) > 1 {
			return nil, usage(fmt.Errorf("--shell takes the script as one argument, and %s is another: put the whole script in quotes", cli.CommandLine(command[1:2])))
		}
		words, err := shellCommand(command[0], m)
		if err != nil {
			return nil, usage(err)
		}
		return &Template{words}, nil
	}
	t := &Template{}
	found := false
	var script interpreter
	for i, text := range command {
		w, replaced, err := m.parse(text)
		if err != nil {
			return nil, usage(err)
		}
		if replaced && i == 0 {
			return nil, usage(fmt.Errorf("the program itself cannot be %s: an input is never run", text))
		}
		if where := script.where(w.beginning()); where != "" && w.hasValue() {
			return nil, scriptError(text, where)
		}
		if i == 0 {
			script.program(text)
		} else {
			script.argument(text)
		}
		found = found || replaced
		t.words = append(t.words, w)
	}
	if !found {
		if where := script.where(""); where != "" {
			return nil, scriptError("the input", where)
		}
		t.words = append(t.words, word{m.values("")})
	}
	return t, nil
}

func scriptError(what, where string) error {
	return usage(fmt.Errorf(`%s cannot be used %s, because an input is never run: pass it after the script, as in sh -c 'echo "$1"' sh {}, or use --shell`, what, where))
}

// beginning returns the text before the first replacement.
func (w word) beginning() string {
	if w[0].literal {
		return w[0].text
	}
	return ""
}

// hasValue reports whether a value of the input is a part of the word.
func (w word) hasValue() bool {
	return slices.ContainsFunc(w, func(p part) bool { return !p.literal && !p.number })
}

func usage(err error) error { return cli.UsageError{Text: err.Error()} }

// maxArgument is the maximum size of one argument on Linux, without the zero
// byte at its end.
const maxArgument = 128<<10 - 1

// Args returns the words of the command for an input: the program and its
// arguments. It returns an error if the system cannot pass one of them.
func (t *Template) Args(in Input) ([]string, error) {
	args := make([]string, 0, len(t.words)+len(in.Values))
	for _, w := range t.words {
		if len(w) == 1 && w[0].isAll() {
			for _, v := range in.Values {
				args = append(args, transform(v, w[0].transform))
			}
		} else if len(w) == 1 {
			args = append(args, w[0].of(in))
		} else {
			var b strings.Builder
			for _, p := range w {
				b.WriteString(p.of(in))
			}
			args = append(args, b.String())
		}
	}
	for _, a := range args {
		if len(a) > maxArgument && runtime.GOOS == "linux" {
			return nil, fmt.Errorf("input %d makes an argument of %d bytes, and the system passes at most %d: write the value to a file, and use the file's name as the input", in.Number, len(a), maxArgument)
		}
		if strings.IndexByte(a, 0) >= 0 {
			return nil, fmt.Errorf("input %d has a zero byte, which an argument cannot contain", in.Number)
		}
	}
	return args, nil
}

// isAll reports whether a part stands for all values of an input.
func (p *part) isAll() bool { return !p.literal && !p.number && p.value == all }

// of returns the text that an input gives to a part. The part must stand for
// one value.
func (p *part) of(in Input) string {
	switch {
	case p.literal:
		return p.text
	case p.number:
		return strconv.Itoa(in.Number)
	}
	return transform(in.Values[p.value], p.transform)
}

// matcher finds replacement strings.
type matcher struct {
	open, close string // the text at the beginning and at the end of a replacement string
	whole       string // the only replacement string, if open is ""
	width       int
	columns     []string
}

func newMatcher(syntax *Syntax) *matcher {
	m := &matcher{open: "{", close: "}", width: max(1, syntax.Width), columns: syntax.Columns}
	switch s := syntax.Instead; s {
	case "", "{}":
	case "[]", "()", "<>":
		m.open, m.close = s[:1], s[1:]
	default:
		m.open, m.close, m.whole = "", "", s
	}
	return m
}

// values returns the replacement of {}, or of {.} and so on. It stands for all
// values if an input has several.
func (m *matcher) values(transform string) part {
	if m.width == 1 {
		return part{transform: transform}
	}
	return part{value: all, transform: transform}
}

// parse splits a word. It reports whether the word has a replacement.
func (m *matcher) parse(text string) (w word, replaced bool, err error) {
	begin := 0
	for i := 0; i < len(text); {
		p, n, err := m.match(text[i:])
		if err != nil {
			return nil, false, err
		}
		if n == 0 {
			i++
			continue
		}
		if p.isAll() && n < len(text) {
			return nil, false, m.severalError(text[i:i+n], text)
		}
		if begin < i {
			w = append(w, part{literal: true, text: text[begin:i]})
		}
		w, replaced = append(w, p), true
		i += n
		begin = i
	}
	if begin < len(text) || len(w) == 0 {
		w = append(w, part{literal: true, text: text[begin:]})
	}
	return w, replaced, nil
}

// severalError returns the error for a replacement of all values that is not a
// whole word.
func (m *matcher) severalError(found, text string) error {
	if m.open == "" {
		return fmt.Errorf("an input has %d values, and %s in %q can stand for one only: write it as a word of its own, or use {1} without -I", m.width, found, text)
	}
	return fmt.Errorf("an input has %d values, and %s in %q can stand for one only: write %s1%s", m.width, found, text, m.open, found[1:])
}

// transforms lists what can follow a number or a name in a replacement string.
// If one of them is a suffix of another one, the longer one comes first.
var transforms = []string{"//", "/.", "/", "."}

// match looks for a replacement string at the beginning of a text. It returns
// the replacement and the size of the string. The size is 0 if the text does
// not begin with a replacement string.
func (m *matcher) match(text string) (p part, size int, err error) {
	if m.open == "" {
		if strings.HasPrefix(text, m.whole) {
			return m.values(""), len(m.whole), nil
		}
		return part{}, 0, nil
	}
	rest, found := strings.CutPrefix(text, m.open)
	if !found {
		return part{}, 0, nil
	}
	inside, _, found := strings.Cut(rest, m.close)
	if !found {
		return part{}, 0, nil
	}
	size = len(m.open) + len(inside) + len(m.close)
	if inside == "#" {
		return part{number: true}, size, nil
	}
	p, known, err := m.named(inside, text[:size])
	if err != nil || !known {
		return part{}, 0, err
	}
	return p, size, nil
}

// named returns the replacement for a replacement string in braces. The
// parameter inside is the text between the braces; the parameter text is the
// whole string.
func (m *matcher) named(inside, text string) (p part, known bool, err error) {
	if p, known, err := m.value(inside, text); known || err != nil {
		return p, known, err
	}
	for _, suffix := range transforms {
		if name, found := strings.CutSuffix(inside, suffix); found {
			p, known, err := m.value(name, text)
			p.transform = suffix
			if known || err != nil {
				return p, known, err
			}
		}
	}
	if inside == "%" {
		return part{}, false, fmt.Errorf("there are no slot numbers, as %s has in GNU parallel: %s is the number of the input; %s", text, m.open+"#"+m.close, m.keep())
	}
	if strings.HasPrefix(inside, "=") && strings.HasSuffix(inside, "=") {
		return part{}, false, fmt.Errorf("%q is an expression in Perl, which is not supported: compute in a script; %s", text, m.keep())
	}
	if len(m.columns) > 0 && isName(inside) {
		return part{}, false, fmt.Errorf("no column %q: the columns are %q; %s", inside, m.columns, m.keep())
	}
	return part{}, false, nil
}

// keep returns a text that says how a command can keep braces.
func (m *matcher) keep() string {
	return "to keep text in braces as it is, choose another replacement string, as in -I @@"
}

// value returns the replacement for the number of a value or the name of a
// column. An empty name stands for all values of the input.
func (m *matcher) value(name, text string) (p part, known bool, err error) {
	if name == "" {
		return m.values(""), true, nil
	}
	if isNumber(name) {
		n, err := strconv.Atoi(name)
		if n < 0 {
			n += m.width + 1
		}
		if err != nil || n < 1 || n > m.width {
			text := fmt.Sprintf("%s: an input has %s", text, count(m.width, "value"))
			if slices.Contains(m.columns, name) {
				text = fmt.Sprintf("%s: the column %q has the number %d, so write %s%d%s", text, name, slices.Index(m.columns, name)+1, m.open, slices.Index(m.columns, name)+1, m.close)
			}
			return part{}, false, fmt.Errorf("%s; %s", text, m.keep())
		}
		return part{value: n - 1}, true, nil
	}
	i := slices.Index(m.columns, name)
	if i < 0 {
		return part{}, false, nil
	}
	if j := slices.Index(m.columns[i+1:], name); j >= 0 {
		return part{}, false, fmt.Errorf("%s: the columns %d and %d have this name: write the number", text, i+1, i+j+2)
	}
	return part{value: i}, true, nil
}

// count returns a number with a noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// isNumber reports whether a text has decimal digits only, after an optional
// minus.
func isNumber(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// isName reports whether a text looks like the name of a column.
func isName(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}
