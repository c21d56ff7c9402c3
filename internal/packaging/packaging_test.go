// Package packaging tests files of the directory packaging. These are the
// Dockerfiles and the build of binaries for users, which the continuous
// integration does not run. It checks the lines on which the safety and the
// start of an image depend, and the flags of the go command.
package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..")

// instruction is a line of a Dockerfile.
type instruction struct{ name, rest string }

// instructions returns the lines of a Dockerfile, without comments. A backslash
// continues a line.
func instructions(text string) (all []instruction) {
	text = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		if name, rest, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
			all = append(all, instruction{name, strings.TrimSpace(rest)})
		}
	}
	return all
}

// problems returns a text for each error in a Dockerfile of a command.
func problems(text, command string) (all []string) {
	known := []string{"FROM", "WORKDIR", "COPY", "ARG", "RUN", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD"}
	image := regexp.MustCompile(`^[a-z0-9./-]+:[a-z0-9.-]+( AS [a-z]+)?$`) // with a tag
	user, entry, copied, built := "", "", "", ""
	for _, i := range instructions(text) {
		switch i.name {
		case "FROM":
			user, entry, copied = "", "", ""
			if !image.MatchString(i.rest) || strings.Contains(i.rest, ":latest") {
				all = append(all, "no image with a fixed tag: FROM "+i.rest)
			}
		case "USER":
			user = i.rest
		case "COPY":
			if source, to, ok := strings.Cut(strings.TrimPrefix(i.rest, "--from=build "), " "); ok && source == "/out/"+command {
				copied = to
			}
		case "RUN":
			if strings.Contains(i.rest, `packaging/binaries "$VERSION" `) {
				built = i.rest
			}
		case "ENTRYPOINT", "CMD":
			var words []string
			if json.Unmarshal([]byte(i.rest), &words) != nil || len(words) == 0 {
				all = append(all, "no list of words: "+i.name+" "+i.rest) // otherwise a shell would run the command, and the command would get no signals
			} else if i.name == "ENTRYPOINT" {
				entry = words[0]
			}
		}
		if !slices.Contains(known, i.name) {
			all = append(all, "unknown instruction "+i.name)
		}
	}
	if user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		all = append(all, "the image runs as root")
	}
	if entry == "" || entry != copied {
		all = append(all, "the entry point is "+entry+", and the command is at "+copied)
	}
	if built == "" {
		all = append(all, "packaging/binaries does not build the command")
	}
	return all
}

func TestDockerfiles(t *testing.T) {
	for _, command := range []string{"concert", "concertd"} {
		text, err := os.ReadFile(filepath.Join(root, "packaging", "docker", command+".Dockerfile"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems(string(text), command) {
			t.Errorf("%s.Dockerfile: %s", command, p)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "packaging", "binaries")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("packaging/binaries, which the images call: %v, %v", info, err)
	}
}

// TestBinaries: the binaries for users must be static, must not contain names
// of directories, and must have a version. The test only checks the flags of
// the go command: it replaces the go command by another program. A real build
// with these flags would compile all packages again.
func TestBinaries(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("packaging/binaries needs the programs of Linux")
	}
	bin, out := t.TempDir(), t.TempDir()
	program := `#!/bin/sh
case $1 in
list) echo example.org/info ;;
*) printf '%s\n' "GOOS=$GOOS GOARCH=$GOARCH CGO_ENABLED=$CGO_ENABLED" "$@" ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ trial, cgo, trimmed string }{
		{"", "0", "-trimpath\n"},
		{"1", "", ""},
	} {
		cmd := exec.Command(filepath.Join(root, "packaging", "binaries"), "v1.2.3", "arm64", out)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TRIAL="+row.trial, "CGO_ENABLED=")
		got, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, got)
		}
		want := "GOOS=linux GOARCH=arm64 CGO_ENABLED=" + row.cgo + "\nbuild\n" + row.trimmed +
			"-buildvcs=false\n-ldflags\n-s -w -X example.org/info.stamped=v1.2.3\n-o\n" + out + "/\n./cmd/concert\n./cluster/cmd/concertd\n"
		if string(got) != want {
			t.Errorf("with TRIAL=%s, the go command runs with\n%s\nwant\n%s", row.trial, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	const good = `# A comment.
FROM golang:1.26 AS build
RUN mkdir /out && \
    packaging/binaries "$VERSION" amd64 /out
FROM debian:12
COPY --from=build /out/x /usr/bin/x
USER 65532
ENTRYPOINT ["/usr/bin/x"]
`
	if got := problems(good, "x"); got != nil {
		t.Errorf("problems %q", got)
	}
	for _, row := range []struct{ old, new, want string }{
		{"debian:12", "debian:latest", "no image with a fixed tag: FROM debian:latest"},
		{"debian:12", "debian", "no image with a fixed tag: FROM debian"},
		{"USER 65532\n", "", "the image runs as root"},
		{"USER 65532", "USER 0:0", "the image runs as root"},
		{"USER", "USERS", "unknown instruction USERS"},
		{`["/usr/bin/x"]`, `/usr/bin/x`, "no list of words: ENTRYPOINT /usr/bin/x"},
		{`["/usr/bin/x"]`, `["/bin/x"]`, "the entry point is /bin/x, and the command is at /usr/bin/x"},
		{"packaging/binaries", "go build", "packaging/binaries does not build the command"},
	} {
		if got := problems(strings.Replace(good, row.old, row.new, 1), "x"); !slices.Contains(got, row.want) {
			t.Errorf("%s instead of %s: problems %q, want %q", row.new, row.old, got, row.want)
		}
	}
}
