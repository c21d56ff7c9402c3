//go:build unix

package inputs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostile has inputs that a shell would run or change if it parsed them. If a
// shell runs one of them, it creates a file with the name "ran".
var hostile = []string{
	"plain", "a b", " ", "", "-rf", "--", "-", "*", "?", "[a-z]", "~", "{}", "{1}", "%", "%s%d", "%%", "#", "!", "=ls", "a=b",
	"it's", `"`, `'"'"'`, `\`, `\\`, `a\`, "$HOME", "${HOME}", "$1", "$concert_1", "${concert_1}", "a\nb", "\n", "a\n", "\r\n", "\t", "\x1b[2J", "\xff\xfe", "ä€",
	"$(touch ran)", "`touch ran`", "; touch ran", "| touch ran", "& touch ran", "\ntouch ran\n", "' ; touch ran ; '", `"; touch ran; "`, `" $(touch ran) "`, `'$(touch ran)'`,
	"a[$(touch ran)]", "> ran", "<(touch ran)", "() { touch ran; }", "\\`touch ran\\`", "a)touch ran;(", "}; touch ran; {", "EOF\ntouch ran", "*/touch ran",
	strings.Repeat("'\"`$(touch ran)", 4000), strings.Repeat("x", 100_000),
}

// accepted has scripts that print their input, and their output for the input
// VALUE with the number 7.
var accepted = []struct{ script, want string }{
	{`printf '<%s>' {}`, "<VALUE>"},
	{`printf '<%s>'`, "<VALUE>"},
	{`printf '<%s>' "{}"`, "<VALUE>"},
	{`printf '<%s>' "a {} b"`, "<a VALUE b>"},
	{`printf '<%s>' pre{}post`, "<preVALUEpost>"},
	{`printf '<%s>' {}{} "{}"{}`, "<VALUEVALUE><VALUEVALUE>"},
	{`printf '<%s>' {} {#} {}0`, "<VALUE><7><VALUE0>"},
	{`printf '<%s>' \"{}\"`, `<"VALUE">`},
	{`printf '<%s>' "\"{}\""`, `<"VALUE">`},
	{`printf '<%s>' "\\{}"`, `<\VALUE>`},
	{`printf '<%s>' \\{}`, `<\VALUE>`},
	{`printf '<%s>' "a\b\{}"`, `<a\b\VALUE>`},
	{`printf '<%s>' "\\\{}"`, `<\\VALUE>`},
	{`env -i perl -MPOSIX=ceil -we 'print "<$ARGV[0]>"' -- {}`, "<VALUE>"},
	{`printf '<%s>' \{} {}`, `<{}><VALUE>`},
	{`printf '<%s>' 'it'\''s' {}`, "<it's><VALUE>"},
	{`x={}; printf '<%s>' "$x"`, "<VALUE>"},
	{`x="a {}"; printf '<%s>' "$x"`, "<a VALUE>"},
	{`f() { printf '<%s>' "$1" {}; }; set -- other; f arg`, "<arg><VALUE>"},
	{`if [ {} = x ]; then :; else printf '<%s>' {}; fi`, "<VALUE>"},
	{`for i in 1 {}; do printf '<%s>' "$i"; done`, "<1><VALUE>"},
	{`case {} in VALUE*) printf '<%s>' {};; *) printf '<%s>' {};; esac`, "<VALUE>"},
	{`printf '<%s>' {} | cat`, "<VALUE>"},
	{`(printf '<%s>' {}; printf '<%s>' "{}") 2>&1`, "<VALUE><VALUE>"},
	{"# {} it's a comment\nprintf '<%s>' {} # \"", "<VALUE>"},
	{"printf '<%s>' \\\n{}", "<VALUE>"},
	{`printf '<%s>' "$(printf '%sx' {})"`, "<VALUEx>"},
	{`printf '<%s>' "a$(printf '%sx' "{}")b" "{}"`, "<aVALUExb><VALUE>"},
	{`printf '<%s>' "$((1 + (2 * 3)))" {} "${HOME:+x}" ${UNSET-} {}`, "<7><VALUE><x><VALUE>"},
	{`cat >out.txt <out.txt; printf '<%s>' {} >out.txt 2>/dev/null; cat out.txt`, "<VALUE>"},
	{`sh -c 'printf "<%s>" "$1"' sh {}`, "<VALUE>"},
	{`env A={} sh -c 'printf "<%s>" "$A"'`, "<VALUE>"},
	{`A={} sh -c 'printf "<%s>" "$A"'`, "<VALUE>"},
	{`! { printf '<%s>' {}; false; }`, "<VALUE>"},
	{`while printf '<%s>' {}; do break; done`, "<VALUE>"},
	{`IFS=VA; printf '<%s>' {} "{}"`, "<VALUE><VALUE>"},
}

func TestShell_NeverRunsAnInput(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "out.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		for i, c := range accepted {
			t.Run(shell+" "+c.script, func(t *testing.T) {
				template, err := Parse([]string{c.script}, &Syntax{Shell: true})
				if err != nil {
					t.Fatal(err)
				}
				for j, value := range hostile {
					if i > 2 && (i+j)%6 > 0 { // a process for each pair would take long
						continue
					}
					got, err := runScript(shell, dir, template, value)
					if want := strings.ReplaceAll(c.want, "VALUE", value); got != want {
						t.Errorf("%.100q: got %.100q, %v; want %.100q", value, got, err, want)
					}
				}
				if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
					t.Fatal("an input was run")
				}
			})
		}
	}
}

// TestShell_AfterDollar: the script must keep a dollar before a replacement
// string.
func TestShell_AfterDollar(t *testing.T) {
	for script, want := range map[string]string{`printf %s "$@@"`: "$VALUE", `printf %s $@@`: "$VALUE", `printf %s "\$@@"`: "$VALUE", `printf %s '$'@@`: "$VALUE"} {
		template, err := Parse([]string{script}, &Syntax{Shell: true, Instead: "@@"})
		if err != nil {
			t.Fatal(err)
		}
		for _, shell := range []string{"sh", "bash"} {
			if got, err := runScript(shell, t.TempDir(), template, "VALUE"); got != want {
				t.Errorf("%s: %s gives %q, %v; want %q", shell, script, got, err, want)
			}
		}
	}
}

// runScript runs a script as a job, with the given program as sh.
func runScript(shell, dir string, template *Template, value string) (string, error) {
	args, err := template.Args(Input{7, []string{value}})
	if err != nil {
		return "", err
	}
	cmd := exec.Command(shell, args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestShell_Refuses(t *testing.T) {
	for script, want := range map[string]string{
		`{}`:                                    "in the name of a program",
		`./{}`:                                  "in the name of a program",
		`"{}" x`:                                "in the name of a program",
		`true; {}`:                              "in the name of a program",
		"true\n{} x":                            "in the name of a program",
		`true && {}`:                            "in the name of a program",
		`true | {}`:                             "in the name of a program",
		`if {}; then :; fi`:                     "in the name of a program",
		`for x do {}; done`:                     "in the name of a program",
		`A=b {}`:                                "in the name of a program",
		`{}=b`:                                  "in the name of a program",
		`"a"={}`:                                "in the name of a program",
		`>out {}`:                               "in the name of a program",
		`2>out {}`:                              "in the name of a program",
		`exec {}`:                               "in the name of a program",
		`/usr/bin/env -i A=b {}`:                "in the name of a program",
		`nice -n 5 {}`:                          "in the name of a program",
		`f() { {}; }`:                           "in the name of a program",
		`(cd x; {})`:                            "in the name of a program",
		`$(echo {})`:                            "output is the name of a program",
		`"$(cd x; echo "$(echo {})")" x`:        "output is the name of a program",
		`eval {}`:                               "in the arguments of eval",
		`eval "$(echo {})"`:                     "in the arguments of eval",
		`\eval "x {}"`:                          "in the arguments of eval",
		`. {}`:                                  "in the arguments of .",
		`trap {} EXIT`:                          "in the arguments of trap",
		`sh -c "echo {}"`:                       "in the script of sh -c",
		`/bin/bash -ec {}`:                      "in the script of /bin/bash -ec",
		`timeout 5 sh -c "echo {}"`:             "in the script of sh -c",
		`sudo -u bob bash -lc "echo {}"`:        "in the script of bash -lc",
		`find . -exec sh -c "echo {}" ";"`:      "in the script of sh -c",
		`x | xargs -I% sh -c "echo % {}"`:       "in the script of sh -c",
		`timeout 5 sh -c "$(echo {})"`:          "in the script of sh -c",
		`python3.12 -c "print({})"`:             "in the script of python3.12 -c",
		`perl -ne"print {}"`:                    "in the script of perl -neprint",
		`echo $[ {} ]`:                          "after $[",
		`echo "$[1+{}]"`:                        "after $[",
		`unset {}`:                              "in the arguments of unset",
		`read {}`:                               "in the arguments of read",
		`echo '{}'`:                             `in single quotes: begin the script with x={}; and write "$x"`,
		`awk '{print {}}'`:                      "in single quotes",
		`sh -c 'echo {}'`:                       "in single quotes",
		"echo `echo {}`":                        "after a backquote",
		"echo `date` {}":                        "after a backquote",
		"cat <<EOF\n{}\nEOF":                    "after <<",
		"cat <<< {}":                            "after <<",
		`echo $((1 + {}))`:                      "in arithmetic",
		`echo "$(({}))"`:                        "in arithmetic",
		`(({} == 1))`:                           "after ((",
		`[[ {} -eq 1 ]]`:                        "after [[",
		`echo ${x:-{}}`:                         "in ${ }",
		`echo "${x:-{}}"`:                       "in ${ }",
		`echo ${x:-"a"} {}`:                     "after ${",
		`echo $'a' {}`:                          "after $'",
		`echo "$(case x in x) echo {};; esac)"`: "after case",
		`function f { {}; }`:                    "after function",
		`echo "{}`:                              "not closed",
		`echo 'a`:                               "not closed",
		`echo $(echo {}`:                        "not closed",
		`sleep 1;`:                              "where the input belongs",
		`# nothing`:                             "where the input belongs",
		``:                                      "where the input belongs",
		`echo {2}`:                              "{2}: an input has 1 value",
	} {
		if template, err := Parse([]string{script}, &Syntax{Shell: true}); err == nil {
			t.Errorf("%s is accepted: %s", script, template.words[2][0].text)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", script, err, want)
		}
	}
}

func TestShell_SeveralValues(t *testing.T) {
	script := `printf '<%s>' {2} "{1/}" {} {.}; printf '<%s>' {}`
	template, err := Parse([]string{script}, &Syntax{Shell: true, Width: 2})
	if err != nil {
		t.Fatal(err)
	}
	args, err := template.Args(Input{1, []string{"d/a b.c", "$(x)"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if want := `<$(x)><a b.c><d/a b.c><$(x)><d/a b><$(x)><d/a b.c><$(x)>`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for _, script := range []string{`echo "{}"`, `echo x{}`, `echo {}x`, `echo >{}`, `x={}`} {
		if _, err := Parse([]string{script}, &Syntax{Shell: true, Width: 2}); err == nil || !strings.Contains(err.Error(), "can stand for one only: write {1}") {
			t.Errorf("%s: error %v", script, err)
		}
	}
	// The tenth argument of a shell is ${10}.
	var values []string
	for i := range 12 {
		values = append(values, fmt.Sprint("v", i))
	}
	template, err = Parse([]string{`printf '%s '`}, &Syntax{Shell: true, Width: len(values)})
	if err != nil {
		t.Fatal(err)
	}
	args, err = template.Args(Input{1, values})
	if err != nil {
		t.Fatal(err)
	}
	got, err = exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil || !slices.Equal(strings.Fields(string(got)), values) {
		t.Errorf("got %s, %v; want %s", got, err, values)
	}
}

// FuzzShell_KeepsValues runs random scripts with two inputs. The two outputs
// must differ only in the value. Otherwise a shell has parsed, split or
// expanded the value.
func FuzzShell_KeepsValues(f *testing.F) {
	for i := range hostile {
		f.Add([]byte{0}, uint(i))       // {}
		f.Add([]byte{2, 0, 2}, uint(i)) // "{}"
	}
	tokens := []string{"{}", " ", `"`, "'", `\`, "$(", ")", "p ", "; p ", "\n", "{}", " x", "`", "#", "$x", "${x}", "(", "<<E", "$((1))", "=", "|cat", "{/}", "y=", "if p ", ";then p ",
		";fi;p ", "case x in x)", ";;esac;p ", "{ p ", ";};p ", "!", "*", "~", "eval ", "sh -c ", "$", "-", "2>", "[", "]", "{", "}", "E\n"}
	f.Fuzz(func(t *testing.T, choice []byte, which uint) {
		script := "p() { printf '<%s>' \"$@\"; }; p "
		for _, c := range choice[:min(len(choice), 40)] {
			script += tokens[int(c)%len(tokens)]
		}
		if strings.Contains(script, "$$") || strings.Contains(script, "2>") && strings.ContainsAny(script, "*[") {
			return // the script contains the process number of the shell, or a pattern for names of files
		}
		template, err := Parse([]string{script}, &Syntax{Shell: true})
		if err != nil {
			return
		}
		value := hostile[which%uint(len(hostile)-2)]
		if strings.Contains(value, "/") || strings.HasSuffix(value, "\n") {
			return // {/} and $( ) change the value
		}
		for _, shell := range []string{"sh", "bash"} {
			first, err1 := runScript(shell, t.TempDir(), template, "VALUE")
			dir := t.TempDir()
			second, err2 := runScript(shell, dir, template, value)
			if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
				t.Fatalf("%s: %q was run by %s", shell, value, script)
			}
			if err1 != nil || err2 != nil { // messages of the shell differ
				continue
			}
			if want := strings.ReplaceAll(first, "VALUE", value); second != want {
				t.Errorf("%s: %s\nwith %q gives\n%q, want\n%q", shell, script, value, second, want)
			}
		}
	})
}
