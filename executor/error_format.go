package executor

import (
	"fmt"
	"io"
	"strings"
)

// Format prints the text for all verbs. Under %+v it prints details as well:
// for each error of [RemoteError.Unwrap] that has a Format method, it prints
// what that error prints under %+v, such as the traceback of a Python
// exception.
func (e *RemoteError) Format(s fmt.State, verb rune) {
	if verb != 'v' || !s.Flag('+') {
		fmt.Fprintf(s, strings.ReplaceAll(fmt.FormatString(s, verb), "#", ""), e.Error())
		return
	}
	text := e.Error()
	var details []string
	for _, v := range e.Unwrap() {
		if _, ok := v.(fmt.Formatter); !ok {
			continue
		}
		d := fmt.Sprintf("%+v", v)
		if rest, begins := strings.CutPrefix(d, text); begins {
			d = strings.TrimPrefix(rest, "\n") // the text is printed once
		}
		if d != "" {
			details = append(details, d)
		}
	}
	io.WriteString(s, strings.Join(append([]string{text}, details...), "\n"))
}
