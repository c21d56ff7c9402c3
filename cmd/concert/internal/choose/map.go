package choose

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs/inputs"
)

// mapLine returns a line for a shell that runs the command with "concert
// map" and concurrency n. The command choose replaces only {}, but "concert
// map" also replaces {.}, {1} and others. If the command contains one of
// these, the line defines another placeholder.
func mapLine(command []string, n int) string {
	flags := fmt.Sprintf("concert map -j %d -i inputs ", n)
	if isSame(command) {
		return flags + cli.CommandLine(command)
	}
	for instead := "@@"; ; instead += "@" {
		if !slices.ContainsFunc(command, func(w string) bool { return strings.Contains(w, instead) }) {
			return flags + "-I " + instead + " " + cli.CommandLine(fill(command, instead))
		}
	}
}

// isSame reports whether map runs the same command as choose.
func isSame(command []string) bool {
	const input = "d/input.x"
	template, err := inputs.Parse(command, &inputs.Syntax{Width: 1})
	if err != nil {
		return false
	}
	args, err := template.Args(inputs.Input{Number: 1, Values: []string{input}})
	return err == nil && slices.Equal(args, fill(command, input))
}

// withMapLines changes the models of a Python function: their code becomes the
// line for a shell.
func withMapLines(models []choose.Model, o *options) []choose.Model {
	words := []string{"--py", o.py}
	if o.python != "" {
		words = append(words, "--python", o.python)
	}
	rest := " -i inputs " + cli.CommandLine(words)
	for i := range models {
		line := func(k, threads int) string {
			if threads == 1 {
				return fmt.Sprintf("concert map -j %d%s", k, rest)
			}
			return fmt.Sprintf("concert map -j %d --threads %d%s", k, threads, rest)
		}
		switch models[i].Name {
		case "one interpreter", "interpreters":
			models[i].Code = func(k int) string { return line(k, 1) }
		case "threads":
			models[i].Code = func(k int) string { return line(k, k) }
		default: // k threads, divided among one interpreter for each processor
			models[i].Code = func(k int) string { return line(k, max(1, k/runtime.GOMAXPROCS(0))) }
		}
	}
	return models
}
