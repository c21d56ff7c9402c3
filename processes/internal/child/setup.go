package child

import (
	"cmp"
	"fmt"
	"strings"

	"concert/processes/internal/confine"
)

// EnvName is an environment variable that is set in workers only. Its value is
// the text of a Setup.
const EnvName = "CONCERT_WORKER"

// Setup is what the pool passes to a worker in its environment.
type Setup struct {
	Depth     int                   // the result of Depth in the worker
	Threads   int                   // number of tasks that the worker may run concurrently
	Files     []string              // the pipes of tasks, results and control, and, if they exist, the journal and the arena
	Prepare   bool                  // the first call is the initializer
	Shared    string                // the socket of shared values, or empty
	MaxResult int64                 // the maximum size of a result, in bytes
	Report    bool                  // the pool already has an observer of the progress of tasks; if it gets one later, it sends a Watch frame
	Sandbox   *confine.Restrictions // nil if the worker is not confined
}

// String encodes the setup for ParseSetup, as docs/wire.md describes.
func (s Setup) String() string {
	return fmt.Sprintf("1 depth=%d threads=%d prepare=%t report=%t result=%d sandbox=%s shared=%s files=%s", s.Depth, s.Threads, s.Prepare, s.Report, s.MaxResult, s.Sandbox, cmp.Or(s.Shared, "-"), strings.Join(s.Files, ","))
}

// ParseSetup parses the value of EnvName.
func ParseSetup(text string) (s Setup, err error) {
	var version int
	var files, sandbox string
	if _, err := fmt.Sscanf(text, "%d depth=%d threads=%d prepare=%t report=%t result=%d sandbox=%s shared=%s files=%s", &version, &s.Depth, &s.Threads, &s.Prepare, &s.Report, &s.MaxResult, &sandbox, &s.Shared, &files); err != nil {
		return s, fmt.Errorf("%s=%q is invalid: %w", EnvName, text, err)
	}
	if s.Sandbox, err = confine.Parse(sandbox); err != nil {
		return s, fmt.Errorf("%s=%q has an invalid sandbox: %w", EnvName, text, err)
	}
	if s.Shared == "-" {
		s.Shared = ""
	}
	s.Files = strings.Split(files, ",")
	if len(s.Files) < 3 || len(s.Files) > 5 {
		return s, fmt.Errorf("%s=%q names %d files, and must name 3 to 5", EnvName, text, len(s.Files))
	}
	return s, nil
}
