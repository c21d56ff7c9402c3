package inputs

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
)

// TestTemplate_AsGNUParallel has the arguments that GNU parallel 20221122
// passes to a command.
func TestTemplate_AsGNUParallel(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		values  []string
		want    []string
	}{
		{"input", []string{"{}"}, []string{"a/b.c"}, []string{"a/b.c"}},
		{"appended", nil, []string{"a b"}, []string{"a b"}},
		{"several appended", []string{"-x"}, []string{"a b", "1"}, []string{"-x", "a b", "1"}},
		{"several in a word", []string{"{}", "{.}"}, []string{"a.b", "1.c"}, []string{"a.b", "1.c", "a", "1"}},
		{"in a word", []string{"x{}y"}, []string{"a b"}, []string{"xa by"}},
		{"twice", []string{"{}{}"}, []string{"a b"}, []string{"a ba b"}},
		{"in braces", []string{"{{}}", "{{1}}"}, []string{"a b"}, []string{"{a b}", "{a b}"}},
		{"next to braces", []string{"{}}", "{{}"}, []string{"a b"}, []string{"a b}", "{a b"}},
		{"other braces", []string{"{ }", "{foo}", "{1", "}", "{+1}", "{1 }", "{ 1}", "{1.2}", "{1,2}", "{..}", "{/..}", "{}"}, []string{"a"}, []string{"{ }", "{foo}", "{1", "}", "{+1}", "{1 }", "{ 1}", "{1.2}", "{1,2}", "{..}", "{/..}", "a"}},
		{"number only", []string{"{#}"}, []string{"a"}, []string{"7"}},
		{"number", []string{"{}{#}{}"}, []string{"d/a.b"}, []string{"d/a.b7d/a.b"}},
		{"parts", []string{"{.}", "{/}", "{//}", "{/.}", "{.}.{.}", "{1/}/{1//}"}, []string{"d/a.b"}, []string{"d/a", "a.b", "d", "a", "d/a.d/a", "a.b/d"}},
		{"values", []string{"{1}", "{2}", "{1.}", "{2/}", "{2//}", "{2/.}", "{1}{2}", "{-1}", "{-2/.}"}, []string{"a/b.c", "x/y.z"}, []string{"a/b.c", "x/y.z", "a/b", "y.z", "x", "y", "a/b.cx/y.z", "x/y.z", "b"}},
		{"leading zero", []string{"{01}", "{002}"}, []string{"a", "b"}, []string{"a", "b"}},
		{"one of two", []string{"{2}"}, []string{"a", "1"}, []string{"1"}},
		{"value with braces", []string{"{}", "{1}"}, []string{"{}{1}{#}"}, []string{"{}{1}{#}", "{}{1}{#}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			template, err := Parse(append([]string{"echo"}, c.command...), &Syntax{Width: len(c.values)})
			if err != nil {
				t.Fatal(err)
			}
			args, err := template.Args(Input{7, c.values})
			if want := append([]string{"echo"}, c.want...); err != nil || !slices.Equal(args, want) {
				t.Errorf("got %q, %v; want %q", args, err, want)
			}
		})
	}
	for _, p := range paths {
		template, err := Parse([]string{"echo", "{.}", "{/}", "{//}", "{/.}", "{1.}"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		args, err := template.Args(Input{1, []string{p.path}})
		if want := []string{"echo", p.stem, p.base, p.directory, p.both, p.stem}; err != nil || !slices.Equal(args, want) {
			t.Errorf("%q: got %q, %v; want %q", p.path, args, err, want)
		}
	}
}

func TestTemplate_Instead(t *testing.T) {
	for _, c := range []struct {
		instead string
		command []string
		want    []string
	}{
		{"{}", []string{"{}", "{.}"}, []string{"d/a.b", "d/a"}},
		{"@", []string{"x@y", "{}", "{.}", "{1}"}, []string{"xd/a.by", "{}", "{.}", "{1}"}},
		{"@", []string{"{{.}}"}, []string{"{{.}}", "d/a.b"}},
		{"[]", []string{"[]", "[.]", "[1/]", "[x]", "{}", "{.}"}, []string{"d/a.b", "d/a", "a.b", "[x]", "{}", "{.}"}},
		{"<>", []string{"<>", "<//>"}, []string{"d/a.b", "d"}},
		{"()", []string{"(/.)"}, []string{"a"}},
	} {
		template, err := Parse(append([]string{"echo"}, c.command...), &Syntax{Instead: c.instead})
		if err != nil {
			t.Error(err)
			continue
		}
		args, err := template.Args(Input{1, []string{"d/a.b"}})
		if want := append([]string{"echo"}, c.want...); err != nil || !slices.Equal(args, want) {
			t.Errorf("%s: got %q, %v; want %q", c.instead, args, err, want)
		}
	}
}

func TestTemplate_Columns(t *testing.T) {
	columns := []string{"file", "First name", "2020", "x.", "x", "", "", "same", "same", "size"}
	syntax := &Syntax{Width: len(columns), Columns: columns}
	template, err := Parse([]string{"echo", "{file}", "{file.}", "{file/}", "{First name}", "{3}", "{x.}", "{x}", "{x..}", "{6}", "{size}-{-1}", "{print $1}", "{}"}, syntax)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{"d/a.b", "J D", "twenty", "dot", "x.y", "", "-", "s", "t", "12"}
	args, err := template.Args(Input{1, values})
	want := append([]string{"echo", "d/a.b", "d/a", "a.b", "J D", "twenty", "dot", "x.y", "dot", "", "12-12", "{print $1}"}, values...)
	if err != nil || !slices.Equal(args, want) {
		t.Errorf("got %q, %v; want %q", args, err, want)
	}
	for word, want := range map[string]string{
		"{flie}": `no column "flie": the columns are ["file"`,
		"{2020}": `the column "2020" has the number 3, so write {3}`,
		"{same}": "the columns 8 and 9 have this name: write the number",
		"{11}":   "an input has 10 values",
		"a{}":    "write {1}",
	} {
		if _, err := Parse([]string{"echo", word}, syntax); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", word, err, want)
		}
	}
}

func TestParse_Refuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		syntax  Syntax
		want    string
	}{
		{"nothing", nil, Syntax{}, "no command"},
		{"program", []string{"{}"}, Syntax{}, "the program itself cannot be {}"},
		{"part of the program", []string{"./{/}.sh", "{}"}, Syntax{}, "the program itself cannot be"},
		{"program of -I", []string{"@"}, Syntax{Instead: "@"}, "the program itself cannot be @"},
		{"value 2 of 1", []string{"grep", "-E", "a{2}"}, Syntax{}, "{2}: an input has 1 value; to keep text in braces"},
		{"value 3 of 2", []string{"echo", "{3.}"}, Syntax{Width: 2}, "{3.}: an input has 2 values"},
		{"value 0", []string{"echo", "{0}"}, Syntax{}, "{0}: an input has"},
		{"value -2 of 1", []string{"echo", "{-2}"}, Syntax{}, "{-2}: an input has"},
		{"huge number", []string{"echo", "{99999999999999999999}"}, Syntax{}, "an input has 1 value"},
		{"several values in a word", []string{"echo", "x{/}"}, Syntax{Width: 2}, "write {1/}"},
		{"slot", []string{"echo", "{%}"}, Syntax{}, "no slot numbers"},
		{"script", []string{"sh", "-c", "echo {}"}, Syntax{}, "echo {} cannot be used in the script of sh -c, because an input is never run"},
		{"whole script", []string{"/bin/bash", "-ec", "{}"}, Syntax{}, "in the script of /bin/bash -ec"},
		{"script at the end", []string{"env", "A=b", "bash", "-x", "-c"}, Syntax{}, "the input cannot be used in the script of bash -c"},
		{"script of a runner", []string{"timeout", "5", "sh", "-c", "echo {/}"}, Syntax{}, "in the script of sh -c"},
		{"script in an option", []string{"python3", "-cprint({1})"}, Syntax{}, "in the script of python3 -cprint("},
		{"Perl", []string{"echo", "{= $_++ =}"}, Syntax{}, "Perl"},
		{"words of a script", []string{"echo {}", "a b"}, Syntax{Shell: true}, "--shell takes the script as one argument, and 'a b' is another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.command, &c.syntax)
			var usage cli.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want a UsageError with %q", err, c.want)
			}
		})
	}
}

// TestParse_Accepts: Parse must accept these commands, although they look like
// scripts that contain an input.
func TestParse_Accepts(t *testing.T) {
	for _, command := range [][]string{
		{"sh", "-c", `echo "$1"`, "sh", "{}"}, {"sh", "-c", "exit {#}"}, {"sh", "{}"}, {"grep", "-c", "sh", "{}"}, {"grep", "sh", "-c", "{}"},
		{"python3", "-m", "compileall", "{}"}, {"perl", "-MPOSIX=ceil", "{}"}, {"php", "-dmemory_limit=1G", "{}"}, {"bash", "--norc", "{}"}, {"sudo", "sh", "-x", "{}"},
	} {
		if _, err := Parse(command, nil); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
}

func TestTemplate_RefusesArguments(t *testing.T) {
	template, err := Parse([]string{"echo", "{}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := template.Args(Input{3, []string{"a\x00b"}}); err == nil || !strings.Contains(err.Error(), "input 3 has a zero byte") {
		t.Errorf("zero byte: %v", err)
	}
	if _, err := template.Args(Input{3, []string{strings.Repeat("x", maxArgument)}}); err != nil {
		t.Error(err)
	}
	_, err = template.Args(Input{3, []string{strings.Repeat("x", 200_000)}})
	if runtime.GOOS == "linux" && (err == nil || !strings.Contains(err.Error(), "input 3 makes an argument of 200000 bytes")) {
		t.Errorf("long argument: %v", err)
	}
}

// FuzzTemplate checks that texts without replacement strings do not change,
// and that replacement strings in a value are not replaced.
func FuzzTemplate(f *testing.F) {
	f.Add("x{}y{1.}{#}", "a/b.c", "{}", 1)
	f.Add("x{}y{1}{#}", "{1}ab", "", 3)
	f.Add("{{}}{-1}{name/.}", "{1}", "[]", 2)
	f.Add("[.][%]{=x=}", "", "@", 3)
	f.Fuzz(func(t *testing.T, text, value, instead string, width int) {
		width = 1 + int(uint(width)%3)
		syntax := &Syntax{Width: width, Instead: instead}
		if width == 3 {
			syntax.Columns = []string{"name", text, value}
		}
		template, err := Parse([]string{"echo", text, "end"}, syntax)
		if err != nil {
			return
		}
		values := slices.Repeat([]string{value}, width)
		args, err := template.Args(Input{1, values})
		if err != nil {
			return
		}
		// A marker instead of the value must give the same arguments, except
		// for the value.
		const marker = "\x01"
		if strings.Contains(text+value, marker) || strings.ContainsAny(value, "./") || strings.Contains(text, "/") {
			return
		}
		marked, err := template.Args(Input{1, slices.Repeat([]string{marker}, width)})
		if err != nil {
			t.Fatal(err)
		}
		for i := range marked {
			marked[i] = strings.ReplaceAll(marked[i], marker, value)
		}
		if !slices.Equal(args, marked) {
			t.Errorf("%q with %q gives %q, want %q", text, value, args, marked)
		}
	})
}
