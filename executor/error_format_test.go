package executor_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"concert"
	"concert/executor"
)

// detailed is an error that prints more under %+v, as errors with a stack do.
type detailed struct{ Text, Details string }

func (d *detailed) Error() string { return d.Text }

// Format prints the details under %+v.
func (d *detailed) Format(s fmt.State, verb rune) {
	io.WriteString(s, d.Text)
	if verb == 'v' && s.Flag('+') {
		io.WriteString(s, "\n"+d.Details)
	}
}

// plainError is an error without a Format method.
type plainError struct{ Text string }

func (p plainError) Error() string { return p.Text }

func init() {
	concert.RegisterErrorType[*detailed]("concert_test.detailed")
	concert.RegisterErrorType[plainError]("concert_test.plainError")
}

// TestRemoteError_Format: under %+v, an error prints its text, and then the
// details of each error in its chain that has details. Other verbs print only
// the text.
func TestRemoteError_Format(t *testing.T) {
	d := &detailed{"no paper", "at tray 2"}
	for name, row := range map[string]struct {
		err  error
		text string
		plus string
	}{
		"plain":      {errors.New("no paper"), "no paper", "no paper"},
		"registered": {plainError{"no paper"}, "no paper", "no paper"},
		"detailed":   {d, "no paper", "no paper\nat tray 2"},
		"wrapped":    {fmt.Errorf("page 3: %w", d), "page 3: no paper", "page 3: no paper\nno paper\nat tray 2"},
		"joined":     {errors.Join(d, plainError{"no ink"}), "no paper\nno ink", "no paper\nno ink\nno paper\nat tray 2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := executor.DecodeError(executor.EncodeError(row.err))
			for verb, want := range map[string]string{
				"%v": row.text, "%s": row.text, "%q": fmt.Sprintf("%q", row.text), "%20.4v|": fmt.Sprintf("%20.4v|", row.text), "%+v": row.plus,
			} {
				if got := fmt.Sprintf(verb, err); got != want {
					t.Errorf("Sprintf(%q) = %q, want %q", verb, got, want)
				}
			}
		})
	}
}
