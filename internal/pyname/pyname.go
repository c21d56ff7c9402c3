// Package pyname checks the names of Python functions, as in
// "models:Model('large').predict". It checks only their form. An interpreter
// checks later whether the function exists.
package pyname

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check returns an error unless the parameter where consists of the name of a
// module, a colon, and the name of a function in the module.
func Check(where string) error {
	module, name, ok := strings.Cut(where, ":")
	switch {
	case where == "":
		return errors.New("it is empty")
	case !ok:
		return errors.New("it has no colon")
	}
	if err := CheckModule(module); err != nil {
		return err
	}
	return CheckFunction(name)
}

// CheckModule returns an error if name cannot be the name of a module: one or
// more parts with dots between them. Importlib finds a file for each part, so a
// part may also begin with a digit, or have hyphens.
func CheckModule(name string) error {
	if name == "" {
		return errors.New("the name of the module is empty")
	}
	for part := range strings.SplitSeq(name, ".") {
		switch {
		case part == "":
			return fmt.Errorf("the module %q has an empty part", name)
		case strings.ContainsFunc(part, func(r rune) bool { return r != '-' && !continues(r) }):
			return fmt.Errorf("%q is not the name of a module", part)
		}
	}
	return nil
}

// CheckFunction returns an error if name cannot be the name of a function in a
// module: one or more identifiers with dots between them. Arguments in
// parentheses may follow each identifier except the last one. CheckFunction
// only finds the end of the arguments; Python parses them.
func CheckFunction(name string) error {
	if name == "" {
		return errors.New("the name of the function is empty")
	}
	if i := strings.IndexAny(name, "\r\n\x00"); i >= 0 {
		return fmt.Errorf("the name of the function has the character %q", name[i])
	}
	for rest := name; ; {
		n := strings.IndexAny(rest, ".(")
		if n < 0 {
			n = len(rest)
		}
		if err := checkIdentifier(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		if strings.HasPrefix(rest, "(") {
			end := endOfArguments(rest)
			if end < 0 {
				return fmt.Errorf("the parenthesis in %q is not closed", name)
			}
			rest = rest[end:]
		}
		if rest == "" {
			return nil
		}
		var dot bool
		if rest, dot = strings.CutPrefix(rest, "."); !dot {
			return fmt.Errorf("%q follows a parenthesis: want a dot and a name", rest)
		}
	}
}

func checkIdentifier(name string) error {
	first, _ := utf8.DecodeRuneInString(name)
	switch {
	case name == "":
		return errors.New("the name of the function has an empty part")
	case first != '_' && !unicode.IsLetter(first) && !unicode.Is(unicode.Nl, first), strings.ContainsFunc(name, func(r rune) bool { return !continues(r) }):
		return fmt.Errorf("%q is not an identifier", name)
	}
	return nil
}

// continues reports whether r may follow the first character of an identifier.
func continues(r rune) bool {
	return unicode.IsLetter(r) || unicode.In(r, unicode.Nl, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc)
}

// endOfArguments finds the parenthesis that closes the first parenthesis of
// text. It returns the index after it, or -1. Parentheses in strings do not
// count.
func endOfArguments(text string) int {
	depth, quote := 0, ""
	for i := 0; i < len(text); i++ {
		c, at := text[i], text[i:]
		switch {
		case quote != "" && c == '\\':
			i++
		case quote != "" && strings.HasPrefix(at, quote):
			i += len(quote) - 1
			quote = ""
		case quote != "":
		case strings.HasPrefix(at, "'''"), strings.HasPrefix(at, `"""`):
			quote = at[:3]
			i += 2
		case c == '\'' || c == '"':
			quote = at[:1]
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
