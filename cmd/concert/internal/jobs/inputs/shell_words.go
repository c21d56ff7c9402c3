package inputs

import (
	"slices"
	"strings"
)

// frame is the script itself, the inside of $( ), or the inside of quotes.
type frame struct {
	quotes bool
	depth  int // of parentheses inside $( )

	// The state of the current word. A frame for quotes does not use these
	// fields, because its text belongs to the word of the outer frame.
	inWord   bool
	quoted   bool // whether a part of the word is in quotes
	text     []byte
	redirect bool // whether the word is the target of > or <
	assigns  bool // whether the word begins with name=
	command  bool // whether the word is the program of a command

	program string // the program of the current command
	wrapped bool   // whether a program that runs another program, such as env, is before the word
	script  interpreter
	code    string // the reason why arguments of the current command are run as code, or ""
	output  string // for $( ): the reason why its output is run as code, or ""
}

// isProgram reports whether text at the current position of the script belongs
// to the name of a program.
func (f *frame) isProgram() bool { return f.command && !f.redirect && !f.assigns }

// runs returns the reason why text at the current position would be run as
// code, or "".
func (f *frame) runs() string {
	if where := f.script.where(string(f.text)); f.code == "" && where != "" {
		return where + "; write it as an argument after that script, which reads it there, as \"$1\" in sh"
	}
	return f.code
}

// end ends the current word.
func (f *frame) end(s *scanner) {
	if !f.inWord {
		return
	}
	text := string(f.text)
	switch {
	case f.redirect:
	case f.isProgram() && !f.quoted && slices.Contains(keywords, text):
	case f.isProgram() && slices.Contains(wrappers, base(text)):
		f.wrapped = true
		f.script.program(text)
	case f.isProgram() && f.wrapped && isOption(text):
	case f.isProgram():
		f.command, f.program = false, text
		f.script.program(text)
		switch {
		case slices.Contains(evaluators, text):
			f.code = "in the arguments of " + text + ", which runs them as a script; choose another command"
		case text == "[[":
			s.unsure = "after [[, which may run it; use [ instead"
		case text == "function", text == "coproc", text == "case" && len(s.stack) > 1:
			s.unsure = "after " + text
		}
	case f.program == "for" && text == "do":
		f.command = true
	default:
		f.script.argument(text)
	}
	f.inWord, f.quoted, f.text, f.redirect, f.assigns = false, false, nil, false, false
}

// endCommand ends the current word and the current command. In $( ), it keeps
// the reason why the output is run.
func (f *frame) endCommand(s *scanner) {
	f.end(s)
	*f = frame{depth: f.depth, output: f.output, command: true, code: f.output}
}

var (
	// keywords lists the words after which a command can begin.
	keywords = []string{"if", "then", "elif", "else", "while", "until", "do", "!", "{", "}", "fi", "done", "esac"}

	// evaluators lists commands that run their arguments as a script. The last
	// two are here because some shells run the index of an array in their
	// arguments, as in read 'a[$(reboot)]'.
	evaluators = []string{"eval", ".", "source", "trap", "let", "alias", "read", "unset"}
)

// isVariable reports whether a text can be the name of a variable.
func isVariable(text string) bool {
	for _, c := range []byte(text) {
		if !isWordByte(c) {
			return false
		}
	}
	return text != "" && (text[0] < '0' || text[0] > '9')
}

// isOption reports whether a word after a program such as env or nice is
// probably an option, and not the program that env or nice runs.
func isOption(text string) bool {
	return text == "" || text[0] == '-' || strings.Contains(text, "=") || isNumber(text)
}
