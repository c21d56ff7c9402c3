package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/internal/logtest"
	"concert/internal/pythontest"
	"concert/python"
)

// shBlock matches a block of commands in docs/scale.md. The groups are the
// machine, the machines whose servers are stopped first, and the commands.
var shBlock = regexp.MustCompile("(?s)```sh\n *# on (\\S+?)(?:, after Ctrl-C([^\n]*))?\n(.*?)```")

// TestGrowing runs the commands of a section of docs/scale.md, in their order,
// with real processes. Tasks that a client submits before, during and after
// each step must have results.
func TestGrowing(t *testing.T) {
	t.Parallel() // it mostly waits
	pythontest.Need(t)
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot interrupt another process")
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "scale.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## From one server to three, and back\n")
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := shBlock.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "```sh"); n != len(blocks) || n < 8 {
		t.Fatalf("%d of %d blocks begin with the name of a machine", len(blocks), n)
	}
	site := newSite(t)
	var ex *cluster.Executor
	var stopped *concert.Future[float64] // a task that was submitted while no server ran
	mean := python.Func[[]float64, float64]("statistics:fmean")
	submit := func() *concert.Future[float64] {
		return concert.Submit(t.Context(), ex, mean, []float64{10, 12})
	}
	check := func(when string, f *concert.Future[float64]) {
		t.Helper()
		if v, err := f.Result(t.Context()); v != 11 || err != nil {
			t.Errorf("a task that was submitted %s: %v, %v", when, v, err)
		}
	}
	for _, b := range blocks {
		name, stops, commands := b[1], b[2], b[3]
		m := site[name]
		if m == nil {
			t.Fatalf("there is no machine %q", name)
		}
		if strings.Contains(b[0], "after Ctrl-C") {
			for other, o := range site {
				if stops == "" && o == m || strings.Contains(stops, other) {
					o.stop(t)
				}
			}
			stopped = submit()
		}
		for line := range strings.Lines(commands) {
			m.run(t, site, strings.TrimSpace(line))
		}
		switch {
		case strings.Contains(commands, "concert worker"):
			access := cluster.Access{Key: filepath.Join(site["one.example"].dir, "client.key")}
			if ex, err = cluster.Dial(t.Context(), m.variable("CONCERT_URL"), &cluster.Options{Access: access, Notice: func(text string) { t.Log(text) }}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ex.Shutdown(t.Context()) })
			check("at the beginning", submit())
		case strings.Contains(commands, "concert status"):
			if stopped != nil {
				check("while no server ran", stopped)
			}
			check("after the step", submit())
		}
	}
}

// machine is a machine of the section that TestGrowing runs. Here it is a
// directory, with addresses of its own.
type machine struct {
	dir          string
	listen, join string   // addresses on which its server listens
	env          []string // variables that commands have exported
	concertd     string   // the program
	server       *exec.Cmd
	says         logtest.Buffer
}

// newSite makes the machines, by their names. It builds the command concertd;
// the command concert is this test, see TestMain.
func newSite(t *testing.T) map[string]*machine {
	t.Helper()
	concertd := filepath.Join(t.TempDir(), "concertd")
	build := exec.Command("go", "build", "-o", concertd, "./cmd/concertd")
	build.Dir = filepath.Join("..", "..", "cluster")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var taken []net.Listener // open until all addresses are known, so that none is given twice
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, l)
		return l.Addr().String()
	}
	defer func() {
		for _, l := range taken {
			l.Close()
		}
	}()
	site := map[string]*machine{}
	for _, name := range []string{"one.example", "two.example", "three.example", "box.example"} {
		m := &machine{dir: t.TempDir(), listen: free(), join: free(), concertd: concertd}
		site[name] = m
		t.Cleanup(func() { m.stop(t) })
	}
	return site
}

// variable returns the value of an exported variable.
func (m *machine) variable(name string) string {
	for _, v := range m.env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// run runs a command of the section on the machine. Servers and workers run in
// the background.
func (m *machine) run(t *testing.T, site map[string]*machine, line string) {
	t.Helper()
	if line == "" {
		return
	}
	at := regexp.MustCompile(`([a-z]+\.example):(4222|6222|\S*)`)
	here := at.ReplaceAllStringFunc(line, func(text string) string {
		p := at.FindStringSubmatch(text)
		other := site[p[1]]
		switch p[2] {
		case "4222":
			return other.listen
		case "6222":
			return other.join
		case "":
			return other.dir
		}
		return strings.Replace(p[2], "/var/lib/concert", other.dir, 1)
	})
	here = strings.NewReplacer("0.0.0.0:4222", m.listen, "0.0.0.0:6222", m.join, "/var/lib/concert", m.dir, "scp ", "cp ", "concertd ", m.concertd+" ").Replace(here)
	if variable, ok := strings.CutPrefix(here, "export "); ok {
		m.env = append(m.env, variable)
		return
	}
	cmd := exec.Command("sh", "-c", "exec "+here)
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), m.env...)
	ready := map[bool]string{true: "ready at", false: "concertd: ready"}[strings.HasPrefix(line, "concert worker")]
	switch {
	case strings.HasPrefix(line, "concertd serve"), strings.HasPrefix(line, "concert worker"):
		cmd.Stdout, cmd.Stderr = &m.says, &m.says
		m.says.Take()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		m.server = cmd
		if !strings.Contains(line, "--join") { // such a server waits for the others, which start later
			await(t, line, func() (bool, string) { return strings.Contains(m.says.String(), ready), m.says.String() })
		}
	case strings.HasPrefix(line, "concert status"):
		await(t, line, func() (bool, string) {
			again := exec.Command("sh", "-c", "exec "+here)
			again.Env = cmd.Env
			out, err := again.CombinedOutput()
			return err == nil && strings.Contains(string(out), "1 worker, "), string(out)
		})
	default:
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v, %s", line, err, out)
		}
	}
}

// await repeats a check until it is true. It fails with the text of the last
// check.
func await(t *testing.T, what string, check func() (bool, string)) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		done, text := check()
		if done {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%s: %s", what, text)
		}
	}
}

// stop interrupts the program that runs on the machine, as Ctrl-C does, and
// waits for its end.
func (m *machine) stop(t *testing.T) {
	t.Helper()
	if m.server == nil {
		return
	}
	m.server.Process.Signal(os.Interrupt)
	if err := m.server.Wait(); err != nil {
		t.Errorf("%v: %s", err, m.says.String())
	}
	m.server = nil
}
