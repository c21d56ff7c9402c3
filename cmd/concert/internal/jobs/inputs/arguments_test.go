package inputs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
)

// readAll returns the values of all inputs, joined by spaces.
func readAll(t *testing.T, r *Reader) (all []string, err error) {
	t.Helper()
	for i := 1; ; i++ {
		in, err := r.Next(context.Background())
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if in.Number != i || len(in.Values) != r.Width() {
			t.Errorf("input %d has the number %d and %d values, want %d", i, in.Number, len(in.Values), r.Width())
		}
		all = append(all, strings.Join(in.Values, " "))
	}
}

// TestSplit_AsGNUParallel has the combinations of GNU parallel 20221122, in its
// order.
func TestSplit_AsGNUParallel(t *testing.T) {
	for args, want := range map[string][]string{
		"echo {} ::: a b":                      {"a", "b"},
		"echo ::: a b ::: 1 2":                 {"a 1", "a 2", "b 1", "b 2"},
		"echo ::: a b :::+ 1 2":                {"a 1", "b 2"},
		"echo ::: a b :::+ 1 2 ::: X Y":        {"a 1 X", "a 1 Y", "b 2 X", "b 2 Y"},
		"echo ::: a b ::: X Y :::+ 1 2":        {"a X 1", "a Y 2", "b X 1", "b Y 2"},
		"echo ::: a b :::+ 1 2 :::+ x y":       {"a 1 x", "b 2 y"},
		"echo ::: 1 2 3 ::: a ::: x y":         {"1 a x", "1 a y", "2 a x", "2 a y", "3 a x", "3 a y"},
		"echo ::: a ::: b :::+ c ::: d :::+ e": {"a b c d e"},
	} {
		command, groups, err := Split(strings.Fields(args))
		if err != nil || command[0] != "echo" {
			t.Errorf("%s: command %q, %v", args, command, err)
			continue
		}
		r, err := Open(t.Context(), groups, nil)
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		got, err := readAll(t, r)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v; want %q", args, got, err, want)
		}
		if n, known := r.Total(); n != len(want) || !known {
			t.Errorf("%s: total %d, %v; want %d", args, n, known, len(want))
		}
	}
}

func TestSplit_KeepsArguments(t *testing.T) {
	values := []string{"", " a ", "-rf", "--", "a\nb", "\xff", "{}", ":::x", "x:::"}
	command, groups, err := Split(append([]string{"rm", "--", "{}", ":::"}, values...))
	if err != nil || !slices.Equal(command, []string{"rm", "--", "{}"}) || !slices.Equal(groups[0].Values, values) {
		t.Errorf("got %q, %v, %v", command, groups, err)
	}
	command, groups, err = Split([]string{"a", "b"})
	if err != nil || len(command) != 2 || groups != nil {
		t.Errorf("without inputs: %q, %v, %v", command, groups, err)
	}
}

func TestSplit_Refuses(t *testing.T) {
	for args, want := range map[string]string{
		"echo :::":                    "nothing after :::",
		"echo ::: a :::":              "nothing after :::",
		"echo ::: a :::+":             "nothing after :::+",
		"echo :::+ a":                 ":::+ needs a list before it",
		"echo ::: a b :::+ 1":         ":::+ has 1 values, and the list before it has 2",
		"echo ::: a b ::: 1 :::+ 2 3": ":::+ has 2 values, and the list before it has 1",
		"echo :::: list":              ":::: is not supported: for inputs from a file, use -i FILE",
		"echo ::: a ::::+ list":       "::::+ is not supported",
	} {
		_, _, err := Split(strings.Fields(args))
		var usage cli.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want a UsageError with %q", args, err, want)
		}
	}
}

func TestReader_HugeProduct(t *testing.T) {
	var args []string
	for range 80 {
		args = append(args, ":::", "a", "b")
	}
	_, groups, err := Split(args)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, known := r.Total(); known {
		t.Errorf("total %d", n)
	}
	for i := range 3 {
		in, err := r.Next(t.Context())
		if want := fmt.Sprint([]string{"aa", "ab", "ba"}[i]); err != nil || strings.Join(in.Values[78:], "") != want || in.Values[0] != "a" {
			t.Errorf("input %d is %q, %v", i, in.Values, err)
		}
	}
}
