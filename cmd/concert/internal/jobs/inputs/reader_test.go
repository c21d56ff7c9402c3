package inputs

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
)

// open makes a pipe and a regular file with a text, opens readers of both, and
// calls test with each of them.
func open(t *testing.T, name, text string, opts Options, groups []Group, test func(t *testing.T, r *Reader, err error, regular bool)) {
	t.Helper()
	t.Run("pipe", func(t *testing.T) {
		o := opts
		o.Stdin = io.MultiReader(strings.NewReader(text)) // not a file
		if o.CSV != "" {
			o.CSV = "-"
		}
		r, err := Open(t.Context(), groups, &o)
		test(t, r, err, false)
	})
	t.Run("file", func(t *testing.T) {
		o := opts
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if o.CSV != "" {
			o.CSV = path
		} else {
			o.File = path
		}
		r, err := Open(t.Context(), groups, &o)
		test(t, r, err, true)
	})
}

func TestReader_Sources(t *testing.T) {
	big := strings.Repeat("x", maxRecord)
	pair := []Group{{Values: []string{"1", "2"}}, {Linked: true, Values: []string{"X", "Y"}}}
	for _, c := range []struct {
		name, text string
		opts       Options
		groups     []Group
		want       []string
	}{
		{name: "empty", text: ""},
		{name: "lines", text: "a\nb c\n", want: []string{"a", "b c"}},
		{name: "without the last line feed", text: "a\nb", want: []string{"a", "b"}},
		{name: "empty lines", text: "\n\na\n\r\n\nb\n\n", want: []string{"a", "b"}},
		{name: "of Windows", text: "\ufeffa\r\nb \r\n\ufeffc\rd\r\n", want: []string{"a", "b ", "\ufeffc\rd"}},
		{name: "bytes", text: "-rf\n\xff\xfe\n{}\n\t x\n", want: []string{"-rf", "\xff\xfe", "{}", "\t x"}},
		{name: "long line", text: big + "\na\n" + big, want: []string{big, "a", big}},
		{name: "zero bytes", text: "a\x00b\nc\r\x00\x00\n", opts: Options{Null: true}, want: []string{"a", "b\nc\r", "", "\n"}},
		{name: "with arguments", text: "a\nb\n", groups: pair, want: []string{"a 1 X", "a 2 Y", "b 1 X", "b 2 Y"}},
		{name: "CSV", text: "\ufeffname,n\na,1\n\n\"b, \"\"x\"\"\",\"2\n3\"\r\n,\n", opts: Options{CSV: "-"}, want: []string{"a 1", "b, \"x\" 2\n3", " "}},
		{name: "CSV header only", text: "name,n\n", opts: Options{CSV: "-"}},
		{name: "CSV with arguments", text: "f\na\nb\n", opts: Options{CSV: "-"}, groups: pair, want: []string{"a 1 X", "a 2 Y", "b 1 X", "b 2 Y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			open(t, "inputs", c.text, c.opts, c.groups, func(t *testing.T, r *Reader, err error, regular bool) {
				if c.opts.CSV == "" && c.opts.File == "" && c.groups != nil && !regular {
					r, err = Open(t.Context(), c.groups, &Options{File: "-", Stdin: io.MultiReader(strings.NewReader(c.text))})
				}
				if err != nil {
					t.Fatal(err)
				}
				if n, known := r.Total(); known != regular || known && n != len(c.want) {
					t.Errorf("total %d, %v; want %d, %v", n, known, len(c.want), regular)
				}
				got, err := readAll(t, r)
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("got %.200q, %v; want %.200q", got, err, c.want)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestReader_TSV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tsv")
	if err := os.WriteFile(path, []byte("a\tb\n1,2\t3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), nil, &Options{CSV: path})
	if err != nil || !slices.Equal(r.Columns(), []string{"a", "b"}) {
		t.Fatalf("columns %q, %v", r.Columns(), err)
	}
	if got, err := readAll(t, r); err != nil || !slices.Equal(got, []string{"1,2 3"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestReader_NamesLine: Open returns the error of a regular file, before the
// first job starts. Next returns the error of a pipe, after the inputs before
// it.
func TestReader_NamesLine(t *testing.T) {
	long := strings.Repeat("x", maxRecord+1)
	for _, c := range []struct {
		name, text string
		opts       Options
		before     int
		want       string
	}{
		{"zero byte", "a\n\nb\x00c\nd\n", Options{}, 1, "line 3: a zero byte, which an argument cannot contain: use -0"},
		{"UTF-16", "a\x00\n\x00", Options{}, 0, "line 1: a zero byte"},
		{"long", "a\nb\n" + long + "\nc\n", Options{}, 2, "line 3: longer than 1048576 bytes"},
		{"long at the end", "a\n" + long, Options{}, 1, "line 2: longer than"},
		{"long with -0", "a\x00" + long, Options{Null: true}, 1, "line 2: longer than"},
		{"CSV fields", "a,b\n1,2\n3\n", Options{CSV: "-"}, 1, "line 3: 1 fields, but the header has 2"},
		{"CSV quote", "a,b\n1,x\"y\n", Options{CSV: "-"}, 0, "line 2: a quote inside a field"},
		{"CSV text after a quote", "a,b\n1,\"x\"y\n", Options{CSV: "-"}, 0, "line 2: a quote that is not closed, or with text after it"},
		{"CSV quote to the end", "a,b\n1,2\n3,\"x\ny\nz\n", Options{CSV: "-"}, 1, "line 3: a quote that is not closed correctly until line"},
		{"CSV zero byte", "a,b\n1,2\n3,\"x\ny\x00z\"\n", Options{CSV: "-"}, 1, "line 3: a zero byte"},
		{"CSV large record", "a,b\n1,2\n3,\"" + strings.Repeat(long+"\n", 3), Options{CSV: "-"}, 1, "after line 2: a record longer than 1048576 bytes: is a quote not closed?"},
		{"CSV without header", "", Options{CSV: "-"}, 0, "line 1: no header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			open(t, "inputs", c.text, c.opts, nil, func(t *testing.T, r *Reader, err error, regular bool) {
				source := "inputs"
				if !regular {
					source = "standard input"
				}
				if err == nil && regular {
					t.Error("no error before the first input")
				}
				if err == nil {
					var got []string
					if got, err = readAll(t, r); len(got) != c.before {
						t.Errorf("%d inputs before the error, want %d", len(got), c.before)
					}
					if _, again := r.Next(t.Context()); again != err {
						t.Errorf("the next error is %v", again)
					}
				}
				if err == nil || !strings.Contains(err.Error(), source) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q with %q", err, source, c.want)
				}
			})
		})
	}
}

func TestOpen_Refuses(t *testing.T) {
	dir := t.TempDir()
	groups := []Group{{Values: []string{"a"}}}
	for _, c := range []struct {
		name   string
		opts   Options
		groups []Group
		want   string
	}{
		{"missing", Options{File: filepath.Join(dir, "none")}, nil, "none"},
		{"directory", Options{File: dir}, nil, "is a directory"},
		{"two files", Options{File: "a", CSV: "b"}, nil, "exclude each other"},
		{"CSV and zero bytes", Options{CSV: "b", Null: true}, nil, "exclude each other"},
		{"arguments and zero bytes", Options{Null: true}, groups, "-0 is for inputs from a file"},
		{"linked to a file", Options{File: "-"}, []Group{{Linked: true, Values: []string{"a"}}}, ":::+ needs a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), c.groups, &c.opts)
			var usage cli.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want a UsageError with %q", err, c.want)
			}
		})
	}
}

// TestReader_RegularStandardInput: the reader must begin at the current offset
// of the file. Another program has read the bytes before, as in (read line;
// concert map ...) < file.
func TestReader_RegularStandardInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte("first\na\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), nil, &Options{Stdin: file})
	if err != nil {
		t.Fatal(err)
	}
	if n, known := r.Total(); n != 2 || !known {
		t.Errorf("total %d, %v", n, known)
	}
	if got, err := readAll(t, r); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestReader_Pipe: an input must arrive while the pipe stays open. The end of
// a context must end a wait, and no input may be lost.
func TestReader_Pipe(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	r, err := Open(t.Context(), nil, &Options{Stdin: in})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write := func(text string) {
		if _, err := out.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	go write("a\nb\nhalf ")
	for _, want := range []string{"a", "b"} {
		if in, err := r.Next(t.Context()); err != nil || in.Values[0] != want {
			t.Fatalf("got %q, %v; want %q", in.Values, err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("stop")
	cancel(cause)
	if _, err := r.Next(ctx); err != cause {
		t.Fatalf("error %v, want the cause", err)
	}
	go write("line\n")
	if in, err := r.Next(t.Context()); err != nil || in.Values[0] != "half line" || in.Number != 3 {
		t.Errorf("got %v, %v", in, err)
	}
	if _, known := r.Total(); known {
		t.Error("the total of a pipe is known")
	}
	// The header of a CSV file can also arrive late.
	late, never := io.Pipe()
	defer never.Close()
	if _, err := Open(ctx, nil, &Options{CSV: "-", Stdin: late}); err != cause {
		t.Errorf("Open: error %v, want the cause", err)
	}
}

// endless is a long pipe with short lines.
type endless struct{ lines int }

// Read implements io.Reader.
func (e *endless) Read(b []byte) (n int, err error) {
	if e.lines == 0 {
		return 0, io.EOF
	}
	for e.lines > 0 && n+20 <= len(b) {
		n += copy(b[n:], fmt.Appendf(nil, "line,%d\n", e.lines))
		e.lines--
	}
	return n, nil
}

func TestReader_ConstantMemory(t *testing.T) {
	for _, opts := range []Options{{}, {CSV: "-"}} {
		const lines = 1_000_000
		opts.Stdin = &endless{lines}
		r, err := Open(t.Context(), nil, &opts)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		n := 0
		for {
			_, err := r.Next(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch n++; n {
			case lines / 10:
				runtime.GC()
				runtime.ReadMemStats(&before)
			case lines - 1000:
				runtime.GC()
				runtime.ReadMemStats(&after)
			}
		}
		if n < lines-1 || after.HeapAlloc > before.HeapAlloc+1<<20 {
			t.Errorf("%d inputs; the heap had %d bytes, and then %d", n, before.HeapAlloc, after.HeapAlloc)
		}
	}
}

// FuzzLines compares the lines with the result of package strings.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\r\n\n\ufeffc", false)
	f.Add("a\x00b\n\x00", true)
	f.Fuzz(func(t *testing.T, text string, null bool) {
		var want []string
		var fails bool
		if null {
			if want = strings.Split(text, "\x00"); want[len(want)-1] == "" {
				want = want[:len(want)-1]
			}
		} else {
			for _, line := range strings.Split(strings.TrimPrefix(text, byteOrderMark), "\n") {
				line = strings.TrimSuffix(line, "\r")
				if fails = strings.Contains(line, "\x00"); fails {
					break
				}
				if line != "" {
					want = append(want, line)
				}
			}
		}
		open(t, "x", text, Options{Null: null}, nil, func(t *testing.T, r *Reader, err error, regular bool) {
			if err == nil {
				var got []string
				got, err = readAll(t, r)
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if fails != (err != nil) {
				t.Errorf("error %v", err)
			}
		})
	})
}

// FuzzCSV compares the records with the result of package csv.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n\"x\ny\",\"\"\"\"\n")
	f.Add("a\n\n\x00\n\xff,\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, wantErr := csv.NewReader(bytes.NewReader([]byte(strings.TrimPrefix(text, byteOrderMark)))).ReadAll()
		open(t, "x", text, Options{CSV: "-"}, nil, func(t *testing.T, r *Reader, err error, regular bool) {
			var got []string
			if err == nil {
				got, err = readAll(t, r)
			}
			if wantErr != nil || len(all) == 0 || strings.Contains(text, "\x00") {
				if err == nil {
					t.Errorf("no error; package csv has %v", wantErr)
				}
				return
			}
			var want []string
			for _, record := range all[1:] {
				want = append(want, strings.Join(record, " "))
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	})
}
