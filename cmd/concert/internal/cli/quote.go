package cli

import (
	"slices"
	"strings"
)

// CommandLine returns a line for a shell that runs a command with exactly
// these words. It quotes only the words that need quotes. The word {} stands
// for an input. It is not quoted, because shells do not change it.
//
// The line contains the control characters of the words unchanged, because
// every shell accepts them in this form. To show the line on a terminal,
// escape them with printable.Text.
func CommandLine(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		// As the first word, a=b would set a variable, and "if" would begin a
		// statement.
		if isPlain(w) && !(i == 0 && (strings.Contains(w, "=") || slices.Contains(reserved, w))) {
			b.WriteString(w)
		} else {
			b.WriteString("'" + strings.ReplaceAll(w, "'", `'\''`) + "'")
		}
	}
	return b.String()
}

// reserved has the words with a special meaning at the beginning of a
// command, in sh, bash and zsh. Words with special characters are left out,
// because they are quoted anyway.
var reserved = []string{
	"case", "coproc", "do", "done", "elif", "else", "end", "esac", "export", "fi", "for", "foreach", "function", "if", "in",
	"nocorrect", "noglob", "repeat", "select", "then", "time", "until", "while",
}

// isPlain reports whether no shell changes a word in an argument. An = at the
// beginning is not plain, because zsh replaces =ls by the path of ls.
func isPlain(word string) bool {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./-_", r)
	}
	return word == "{}" || word != "" && word[0] != '=' && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0
}
