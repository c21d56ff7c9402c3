package dashboard

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"concert"
)

func TestNormalized(t *testing.T) {
	input := &concert.Input{Name: "f", Index: 17, Label: "cat.jpg"}
	for _, c := range []struct {
		text  string
		input *concert.Input
		want  string
	}{
		{"no route to host", nil, "no route to host"},
		{"read 10.0.0.1:443: timeout after 1.5s", nil, "read #:#: timeout after #s"},
		{"invalid address 0xc000123abc", nil, "invalid address #"},
		{"object 9f86d081884c7d659a2feaa0 is missing", nil, "object # is missing"},
		{"concert: f: input 17 (cat.jpg): bad header", input, "concert: #: bad header"},
		{"open cat.jpg: no such file", input, "open #: no such file"},
		{"deadbeef", nil, "deadbeef"}, // no digit, so it may be a word
	} {
		t.Run(c.text, func(t *testing.T) {
			if got := normalized(c.text, c.input); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// traced is an error with a traceback.
type traced struct{ text string }

func (e traced) Error() string { return e.text }
func (e traced) Format(s fmt.State, verb rune) {
	fmt.Fprint(s, e.text)
	if s.Flag('+') {
		fmt.Fprint(s, "\nTraceback of ", e.text)
	}
}

// TestCauses_Group: failures of the same function must be one group if their
// texts differ only in numbers and inputs. The group must have some of the
// inputs and one traceback.
func TestCauses_Group(t *testing.T) {
	var c causes
	add := func(task int, name, label string, err error) int {
		return c.add(concert.Event{
			Kind: concert.TaskFinished, Task: uint64(task), Name: name, Input: &concert.Input{Name: name, Index: int64(task), Label: label},
			Time: time.Unix(int64(task), 0), Err: err,
		})
	}
	for i := range 9 {
		if g := add(i, "f", fmt.Sprintf("file %d", i), traced{fmt.Sprintf("line %d is bad", 3*i)}); g != 0 {
			t.Errorf("failure %d is in group %d", i, g)
		}
	}
	if g := add(9, "f", "", errors.New("refused")); g != 1 {
		t.Errorf("another text is in group %d", g)
	}
	if g := add(10, "g", "", traced{"line 1 is bad"}); g != 2 {
		t.Errorf("another function is in group %d", g)
	}
	rows := c.rows().Groups
	if len(rows) != 3 {
		t.Fatalf("%d groups: %+v", len(rows), rows)
	}
	r := rows[0]
	if r.Count != 9 || r.Text != "line 0 is bad" || len(r.Examples) != maxExamples || r.Examples[4].Label != "file 4" || *r.Examples[4].Index != 4 {
		t.Errorf("the largest group is %+v", r)
	}
	if r.Detail != "line 0 is bad\nTraceback of line 0 is bad" {
		t.Errorf("the traceback is %q", r.Detail)
	}
	if r.First != 0 || r.Last != 8000 {
		t.Errorf("the group is from %d to %d", r.First, r.Last)
	}
	if rows[1].Detail != "" {
		t.Errorf("an error without a traceback has %q", rows[1].Detail)
	}
	if tasks := c.take(0); len(tasks) != 9 || tasks[8].ID != 8 || tasks[8].Input.Label != "file 8" {
		t.Errorf("the tasks to replay are %+v", tasks)
	}
	if tasks := c.take(0); tasks != nil {
		t.Errorf("a second replay has %+v", tasks)
	}
	c.clear()
	if g := add(11, "f", "", errors.New("refused")); g != 3 { // a new number, because a page may still show the other groups
		t.Errorf("after all groups were forgotten, a failure is in group %d", g)
	}
	if tasks := c.take(0); tasks != nil {
		t.Errorf("a group that was forgotten has %+v", tasks)
	}
	if tasks := c.take(3); len(tasks) != 1 || tasks[0].ID != 11 {
		t.Errorf("the new group has %+v", tasks)
	}
}

// badError is an error whose methods fail.
type badError struct{}

func (badError) Error() string { panic("no text") }

// TestCauses_Bounds: for many causes, long texts, a flood of failures and an
// error whose methods panic, memory and time must be bounded.
func TestCauses_Bounds(t *testing.T) {
	var c causes
	at := time.Unix(0, 0)
	add := func(err error) int {
		return c.add(concert.Event{Kind: concert.TaskFinished, Name: "f", Time: at, Err: err})
	}
	if g := add(badError{}); g != 0 {
		t.Errorf("an error without a text is in group %d", g)
	}
	long := strings.Repeat("long ", 1<<16)
	add(traced{long})
	if text := c.rows().Groups[1].Text; len(text) > maxText+10 {
		t.Errorf("a text has %d bytes", len(text))
	}
	if detail := c.rows().Groups[1].Detail; len(detail) > maxDetail+10 {
		t.Errorf("a traceback has %d bytes", len(detail))
	}
	counted := func() (n int64) {
		for _, g := range c.rows().Groups {
			n += g.Count
		}
		return n
	}
	for range 2 * maxExamined {
		add(errors.New("refused"))
	}
	if n, other := counted(), c.rows().Other; n != maxExamined || other != maxExamined+2 {
		t.Errorf("in one second, %d failures are in groups, and %d are not", n, other)
	}
	at = at.Add(time.Second)
	for i := range maxExamined {
		add(errors.New(strings.Repeat("x", i+1)))
	}
	if n := len(c.rows().Groups); n != maxCauses {
		t.Errorf("%d groups, want %d", n, maxCauses)
	}
	if n, want := counted()+c.rows().Other, int64(3*maxExamined+2); n != want {
		t.Errorf("%d failures are counted, want %d", n, want)
	}
}
