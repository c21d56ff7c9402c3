// Package layers tests the import rules of the project: which package may
// import which. An import across layers fails here first.
package layers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// allowed lists, for each package of the project, the packages that it may
// import besides the standard library. A name that ends in a slash stands for
// all packages below it. The rules do not apply to tests. In the paths, the
// prefix "concert" stands for the path of the root module.
var allowed = map[string][]string{
	"concert":                        {"concert/executor", "concert/internal/option"},
	"concert/executor":               {"concert/internal/lazy", "concert/internal/option", "concert/internal/values", "github.com/fxamacker/cbor/v2"},
	"concert/internal/lazy":          {},
	"concert/internal/buildinfo":     {},
	"concert/internal/cmdline":       {},
	"concert/internal/option":        {},
	"concert/internal/values":        {},
	"concert/gil":                    {"concert", "concert/executor", "concert/internal/option"},
	"concert/goroutines":             {"concert", "concert/executor", "concert/internal/lazy", "concert/internal/option"},
	"concert/loop":                   {"concert", "concert/executor", "concert/internal/option"},
	"concert/loop/looptest":          {"concert/loop"},
	"concert/adaptive":               {"concert", "concert/executor", "concert/internal/option", "concert/internal/units"},
	"concert/choose":                 {"concert", "concert/executor", "concert/choose/usage", "concert/internal/option", "concert/internal/page", "concert/internal/units", "golang.org/x/sys/unix"},
	"concert/choose/usage":           {"concert/internal/units", "golang.org/x/sys/unix"},
	"concert/choose/models":          {"concert", "concert/executor", "concert/choose", "concert/choose/usage", "concert/gil", "concert/goroutines", "concert/loop", "concert/processes", "concert/python"},
	"concert/processes":              {"concert", "concert/executor", "concert/processes/internal/", "concert/internal/frame", "concert/internal/lazy", "concert/internal/option", "concert/internal/printable", "golang.org/x/term"},
	"concert/python":                 {"concert", "concert/executor", "concert/internal/frame", "concert/internal/option", "concert/internal/pyname", "concert/processes"},
	"concert/internal/frame":         {"concert", "concert/executor"},
	"concert/trace":                  {"concert", "concert/executor"},
	"concert/internal/page":          {},
	"concert/dashboard":              {"concert", "concert/executor", "concert/internal/page"},
	"concert/internal/metrics":       {"concert/executor"},
	"concert/prometheus":             {"concert/executor", "concert/internal/metrics", "github.com/prometheus/client_golang/prometheus"},
	"concert/prometheus/example":     {"concert", "concert/goroutines", "concert/prometheus", "github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promhttp"},
	"concert/opentelemetry":          {"concert", "concert/executor", "concert/internal/metrics", "go.opentelemetry.io/otel", "go.opentelemetry.io/otel/"},
	"concert/internal/printable":     {},
	"concert/internal/pyname":        {},
	"concert/internal/devserver":     {"concert/internal/filelock", "concert/internal/serverurl"},
	"concert/internal/filelock":      {"golang.org/x/sys/windows"},
	"concert/internal/serverurl":     {},
	"concert/internal/units":         {},
	"concert/internal/page/pagetest": {}, // for tests
	"concert/internal/pythontest":    {}, // for tests
	"concert/internal/isolated":      {}, // for tests
	"concert/internal/logtest":       {}, // for tests
	"concert/internal/race":          {}, // for tests
	"concert/internal/sharedtest":    {}, // for tests
	"concert/internal/smaps":         {}, // for tests
	"concert/progress":               {"concert", "concert/executor", "concert/internal/option", "concert/internal/units", "golang.org/x/term"},
	"concert/download":               {"concert/internal/filelock", "golang.org/x/sys/unix"},
	"concert/resume":                 {"concert", "concert/executor", "concert/internal/filelock", "golang.org/x/sys/unix"},
	"concert/executortest":           {"concert", "concert/executor", "concert/progress", "concert/trace"},
	"concert/internal/loopback":      {"concert", "concert/executor", "concert/internal/lazy"},
	"concert/internal/layers":        {},
	"concert/internal/api":           {}, // tests only
	"concert/internal/guide":         {}, // tests only
	"concert/internal/packaging":     {}, // tests only
	"concert/internal/conventions":   {}, // tests only
	"concert/internal/rename":        {},
	"concert/python/conformance":     {}, // tests only
	"concert/benchmarks":             {}, // tests only
	"concert/benchmarks/goplugin":    {}, // tests only
	"concert/benchmarks/cluster":     {}, // tests only
	"concert/benchmarks/observation": {}, // tests only
	"concert/benchmarks/choosing":    {"concert", "concert/executor", "concert/"},
	"concert/benchmarks/downloading": {"concert/benchmarks/commands", "golang.org/x/sys/unix"},
	"concert/benchmarks/mapping":     {"concert/benchmarks/commands", "golang.org/x/sys/unix"},
	"concert/benchmarks/commands":    {},
	"concert/benchmarks/scale":       {"concert", "concert/executor", "concert/", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream"},
	"concert/benchmarks/submitfiles": {"concert", "concert/executor", "concert/"},
	"concert/cmd/concert":            {"concert", "concert/executor", "concert/"},
	"concert/cluster":                {"concert", "concert/executor", "concert/internal/devserver", "concert/internal/option", "concert/cluster/internal/client", "concert/cluster/internal/jet", "concert/cluster/internal/members", "concert/cluster/internal/wire", "concert/cluster/internal/worker", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "github.com/nats-io/nkeys"},
	"concert/cluster/internal/wire":  {"concert", "concert/executor", "github.com/fxamacker/cbor/v2", "google.golang.org/protobuf/encoding/protowire", "golang.org/x/mod/sumdb/tlog", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "github.com/nats-io/nkeys"},
	"concert/cluster/internal/jet": {"concert", "concert/executor", "concert/internal/serverurl", "concert/cluster/internal/wire",
		"github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "github.com/nats-io/nkeys"},
	"concert/cluster/internal/jet/jettest": {"concert/cluster/server",
		"github.com/nats-io/nats.go/jetstream"}, // for tests
	"concert/cluster/internal/members": {"concert/cluster/internal/jet", "concert/cluster/internal/recent", "concert/cluster/internal/wire",
		"github.com/nats-io/nats.go"},
	"concert/cluster/internal/recent":   {}, // a set
	"concert/cluster/internal/prefetch": {}, // the number of tasks that wait in a worker
	"concert/cluster/internal/client": {"concert", "concert/executor", "concert/internal/lazy", "concert/cluster/internal/jet", "concert/cluster/internal/members",
		"concert/cluster/internal/prefetch", "concert/cluster/internal/wire", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream"},
	"concert/cluster/internal/worker": {"concert", "concert/executor", "concert/cluster/internal/jet", "concert/cluster/internal/members", "concert/cluster/internal/prefetch",
		"concert/cluster/internal/recent", "concert/cluster/internal/wire", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream"},
	"concert/cluster/server": {"concert/cluster/internal/wire", "concert/internal/filelock", "github.com/nats-io/jwt/v2", "github.com/nats-io/nats-server/v2/server", "github.com/nats-io/nats.go",
		"github.com/nats-io/nats.go/jetstream", "github.com/nats-io/nkeys", "golang.org/x/time/rate"},
	"concert/cluster/cmd/concertd": {"concert/cluster/server", "concert/internal/buildinfo", "concert/internal/cmdline", "concert/internal/devserver"},
	"concert/examples/":            {"concert", "concert/executor", "concert/", "golang.org/x/image/", "go.starlark.net/"},

	"concert/internal/metrics/metricstest": {"concert", "concert/executor", "concert/goroutines", "concert/processes"}, // for tests

	// The parts of package processes.
	"concert/processes/internal/shm": {"concert/internal/frame", "golang.org/x/sys/unix"},
	"concert/processes/internal/child": {"concert", "concert/executor", "concert/internal/frame", "concert/internal/lazy",
		"concert/processes/internal/confine", "concert/processes/internal/osproc", "concert/processes/internal/shm"},
	"concert/processes/internal/osproc":  {"golang.org/x/sys/unix"},
	"concert/processes/internal/confine": {"golang.org/x/sys/unix", "github.com/landlock-lsm/go-landlock/", "github.com/elastic/go-seccomp-bpf", "github.com/elastic/go-seccomp-bpf/arch", psx},

	// The parts of the command.
	"concert/cmd/concert/internal/cli":  {"concert/executor", "concert/internal/cmdline", "concert/internal/printable", "concert/progress"},
	"concert/cmd/concert/internal/tour": {"concert", "concert/"},
	"concert/cmd/concert/internal/jobs": {"concert", "concert/", "golang.org/x/sys/unix"},
	"concert/cmd/concert/internal/get": {"concert", "concert/", "golang.org/x/net/http/httpguts", "golang.org/x/net/http/httpproxy", "golang.org/x/net/publicsuffix",
		"golang.org/x/text/encoding/unicode", "golang.org/x/text/transform", "golang.org/x/time/rate"},
	"concert/cmd/concert/internal/web":             {"concert/cmd/concert/internal/cli", "concert/dashboard"},
	"concert/cmd/concert/internal/cluster":         {"concert", "concert/"},
	"concert/cmd/concert/internal/choose":          {"concert", "concert/", "golang.org/x/term"},
	"concert/cmd/concert/internal/jobs/supervisor": {"concert/cmd/concert/internal/jobs/cgroup", "golang.org/x/sys/unix"},

	"concert/cmd/concert/internal/jobs/cgroup": {"concert/internal/filelock", "golang.org/x/sys/unix"},
	"concert/cmd/concert/internal/jobs/inputs": {"concert/cmd/concert/internal/cli", "concert/progress"},
	"concert/cmd/concert/internal/jobs/output": {"concert/internal/filelock", "concert/internal/printable", "golang.org/x/sys/unix"},
	"concert/cmd/concert/internal/pyvalue":     {},
}

// modules lists all modules on which the library depends. Users of the library
// compile no other modules.
var modules = []string{
	"concert", "github.com/fxamacker/cbor/v2", "github.com/x448/float16", "golang.org/x/sys", "golang.org/x/term",
	"github.com/landlock-lsm/go-landlock", "github.com/elastic/go-seccomp-bpf", "golang.org/x/net", psx, // on Linux
}

const psx = "kernel.org/pub/linux/libs/security/libcap/psx"

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
	Module     *struct{ Path string }
}

// modulePath is the path of the project's root module.
var modulePath = strings.TrimSuffix(reflect.TypeFor[goPackage]().PkgPath(), "/internal/layers")

// inTable returns a path in the form that the tables use.
func inTable(path string) string {
	if rest, ok := strings.CutPrefix(path, modulePath); ok && (rest == "" || rest[0] == '/') {
		return "concert" + rest
	}
	return path
}

// list runs go list in the root of the project. The paths in its result have
// the form that the tables use.
func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Standard,Module"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("go list %v: %v\n%s", args, err, exit.Stderr)
	}
	var all []goPackage
	for d := json.NewDecoder(bufio.NewReader(bytes.NewReader(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = inTable(p.ImportPath)
		for i := range p.Imports {
			p.Imports[i] = inTable(p.Imports[i])
		}
		if p.Module != nil {
			p.Module.Path = inTable(p.Module.Path)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	standard := map[string]bool{}
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	seen := map[string]bool{}
	for _, p := range list(t, "work") {
		name := p.ImportPath
		if strings.HasPrefix(name, "concert/examples/") {
			name = "concert/examples/"
		}
		rules, known := allowed[name]
		if !known {
			t.Errorf("%s is not in the table of layers: say there what it may import", p.ImportPath)
			continue
		}
		seen[name] = true
		for _, imp := range p.Imports {
			ok := standard[imp] || imp == "unsafe" || slices.ContainsFunc(rules, func(rule string) bool {
				return imp == rule || strings.HasSuffix(rule, "/") && strings.HasPrefix(imp, rule)
			})
			if !ok {
				t.Errorf("%s imports %s: not in its layer", p.ImportPath, imp)
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("%s is in the table of layers and does not exist", name)
		}
	}
}

func TestDependencies(t *testing.T) {
	for _, p := range list(t, "-deps", ".", "./adaptive", "./goroutines", "./processes", "./python", "./progress", "./download", "./choose/models", "./dashboard", "./resume", "./trace", "./executortest") {
		if !p.Standard && (p.Module == nil || !slices.Contains(modules, p.Module.Path)) {
			t.Errorf("the library depends on %s", p.ImportPath)
		}
	}
}

// TestServerOnlyInServers: clients of the cluster, and the command, must not
// import the NATS server.
func TestServerOnlyInServers(t *testing.T) {
	for _, p := range list(t, "-deps", "./cluster", "./cmd/concert") {
		if p.Module != nil && p.Module.Path == "github.com/nats-io/nats-server/v2" {
			t.Errorf("%s is compiled into clients", p.ImportPath)
		}
	}
}
