package get

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// machine is an entry of a netrc file.
type machine struct{ login, password string }

// readNetrc reads the file of the variable NETRC, or otherwise .netrc in the
// home directory (on Windows also _netrc), and returns the entries by the
// names of their hosts in lower case. If the home directory has no such file,
// there are no entries. If NETRC is set and empty, there are no entries.
//
// The parser is a part of this program: github.com/jdx/go-netrc panics if a
// file ends after "machine", and finds no password after a comment, an account
// or a macro. It has had no release since 2023.
func readNetrc() (map[string]machine, error) {
	name, set := os.LookupEnv("NETRC")
	names := []string{name}
	if !set {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, nil
		}
		names = []string{filepath.Join(home, ".netrc")}
		if runtime.GOOS == "windows" {
			names = append(names, filepath.Join(home, "_netrc"))
		}
	} else if name == "" {
		return nil, nil
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && !set {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read passwords: %w; set the variable NETRC to another file, or to an empty text", err)
		}
		machines, err := parseNetrc(string(b))
		if err != nil {
			return nil, fmt.Errorf("cannot read passwords: %s:%w", name, err)
		}
		return machines, nil
	}
	return nil, nil
}

// parseNetrc parses the content of a netrc file. The first entry of a host
// counts. The entry "default" is not used, because its password would go to
// all hosts. An error begins with the number of the line, and contains no text
// of the file.
func parseNetrc(text string) (map[string]machine, error) {
	machines := map[string]machine{}
	name, current := "", machine{}
	store := func() {
		if _, twice := machines[name]; name != "" && !twice {
			machines[name] = current
		}
		name, current = "", machine{}
	}
	key, keyLine := "", 0 // the last key word, if its value has not been read
	inMacro := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if inMacro {
			inMacro = line != ""
			continue
		}
		tokens, err := netrcTokens(line)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i+1, err)
		}
		for _, token := range tokens {
			switch key {
			case "":
				switch token {
				case "default":
					store()
				case "machine", "login", "password", "account", "macdef":
					key, keyLine = token, i+1
				default:
					return nil, fmt.Errorf("%d: want one of the words machine, default, login, password, account and macdef; write quotes around a value with spaces", i+1)
				}
				continue
			case "machine":
				store()
				name = strings.ToLower(token)
			case "login":
				current.login = token
			case "password":
				current.password = token
			case "macdef":
				inMacro = true
			}
			key = ""
			if inMacro {
				break // the macro begins in the next line
			}
		}
	}
	if key != "" {
		return nil, fmt.Errorf("%d: the word %s has no value", keyLine, key)
	}
	store()
	return machines, nil
}

// netrcTokens returns the tokens of a line. A token in double quotes may
// contain spaces, and \" and \\. A comment begins with a token that begins
// with #. After the word password, such a token is a password.
func netrcTokens(line string) (tokens []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t\r")
		afterPassword := len(tokens) > 0 && tokens[len(tokens)-1] == "password"
		if line == "" || line[0] == '#' && !afterPassword {
			return tokens, nil
		}
		if line[0] == '"' {
			value, rest, ok := cutQuoted(line)
			if !ok {
				return nil, errors.New("a quote is not closed")
			}
			tokens, line = append(tokens, value), rest
			continue
		}
		n := strings.IndexAny(line, " \t\r")
		if n < 0 {
			n = len(line)
		}
		tokens, line = append(tokens, line[:n]), line[n:]
	}
}

// cutQuoted returns the text in double quotes at the beginning of s, and the
// text after them. In the quotes, \" is a quote and \\ is a backslash.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
