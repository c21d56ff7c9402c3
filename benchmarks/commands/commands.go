// Package commands has the common functions of the benchmarks of whole
// commands.
package commands

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Build builds the command concert of this source in a directory, and returns
// its path.
func Build(dir string) (string, error) {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("find the source of concert: %w", err)
	}
	path := filepath.Join(dir, "concert")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/concert")
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(out)))
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build concert in %s: %w\n%s", cmd.Dir, err, text)
	}
	return path, nil
}

// Values returns one measurement of each sample.
func Values[S any](samples []S, of func(S) float64) (v []float64) {
	for _, m := range samples {
		v = append(v, of(m))
	}
	return v
}

// Median returns the median. There must be a value.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// Ratio returns the median of the ratios a/b of all rounds. Both lists have a
// value for each round.
func Ratio(a, b []float64) float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = a[i] / b[i]
	}
	return Median(all)
}
