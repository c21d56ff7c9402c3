package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"concert/internal/buildinfo"
)

const program = "concertd"

const versionHelp = `Usage: concertd version [flags]

Prints the version of this program, and of the Go release that built it.

Flags:
  --licenses  print the modules in this program, and their licenses
`

func version(_ context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) error {
	licenses := flags.Bool("licenses", false, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *licenses {
		return buildinfo.WriteLicenses(out, program)
	}
	line, err := buildinfo.Line(program)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, line)
	return err
}
